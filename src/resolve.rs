//! From names in an experiment file to data and models with digests: the only step before planning that reads files.

use crate::data::{formats, reviews};
use crate::error::{Error, Result};
use crate::hub::{self, Hub, Progress};
use crate::judges::Source;
use crate::spec::{Reward, Study, Task, World};
use crate::store::FileRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A data file. Its digest and its side are part of stage keys, its path is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// BLAKE3 digest of its bytes.
    pub blake3: String,
    /// Which side of the corpus its name puts it on; without one each row decides.
    pub side: Option<reviews::Split>,
}

/// The corpus of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corpus {
    /// A built-in world.
    Builtin(String),
    /// Files on this machine.
    Files(Vec<DataFile>),
    /// Names on the hub that are not on this machine.
    Hub(Vec<String>),
    /// A world that can be enumerated.
    Oracle(World),
}

/// The model that a study starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseModel {
    /// One that the study trains.
    Builtin(String),
    /// A folder. Digests are part of stage keys, its path is not.
    Folder(ModelFolder),
    /// A name on the hub that is not on this machine.
    Hub(String),
}

/// A pretrained model on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its name and revision on the hub, if it came from there.
    pub source: Option<String>,
    /// Name and BLAKE3 digest of each file that a model is made of.
    pub files: Vec<(String, String)>,
}

/// What a study's names stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The task's data.
    pub corpus: Corpus,
    /// Comparisons that are not in the task's data, where the task has such.
    pub comparisons: Option<Corpus>,
    /// Prompts of another kind, where the task has such.
    pub out_of_distribution: Option<Corpus>,
    /// The model.
    pub model: BaseModel,
    /// The pretrained classifier that is the true reward, where one is.
    pub classifier: Option<BaseModel>,
    /// The models that judges name, by judge and role.
    pub judges: BTreeMap<(String, String), BaseModel>,
    /// Texts of the question templates that judges name, by judge.
    pub templates: BTreeMap<String, String>,
    /// Names and revisions of the hub that were used, for the study's record.
    pub sources: Vec<String>,
}

impl Resolved {
    /// Names that could not be resolved, with what to do about it.
    pub fn unresolved(&self) -> Option<String> {
        let corpora = [Some(&self.corpus), self.comparisons.as_ref(), self.out_of_distribution.as_ref()].into_iter().flatten();
        let of_corpus = corpora.flat_map(|corpus| match corpus {
            Corpus::Hub(names) => names.clone(),
            Corpus::Builtin(_) | Corpus::Files(_) | Corpus::Oracle(_) => Vec::new(),
        });
        let models = [Some(&self.model), self.classifier.as_ref()].into_iter().flatten().chain(self.judges.values());
        let of_models = models.filter_map(|model| match model {
            BaseModel::Hub(name) => Some(name.clone()),
            BaseModel::Builtin(_) | BaseModel::Folder(_) => None,
        });
        let both: Vec<String> = of_models.chain(of_corpus).collect();
        let what = "not on this machine: `dpo-lab run` without --offline fetches it, or give files and folders";
        (!both.is_empty()).then(|| format!("{}: {what}", both.join(", ")))
    }
}

/// Whether what is only on the hub is fetched.
pub enum Fetch<'a> {
    /// What is not on this machine stays unresolved.
    No,
    /// It is fetched, and this is told how far it is.
    Yes(&'a mut dyn FnMut(Progress)),
}

/// Finds and digests a study's data and models. `folder` says what a relative path under a key of the experiment file is relative
/// to; an error comes with the key that it is about.
pub fn resolve(study: &Study, folder: &dyn Fn(&str) -> PathBuf, fetch: Fetch<'_>) -> Result<Resolved, (String, Error)> {
    let mut finder = Finder { folder, fetch, sources: Vec::new() };
    let base = finder.model("model.base", &study.model.base)?;
    let of = |key: &str| format!("task.{}.{key}", study.task.name());
    let classifier = match study.task.reward() {
        Some(Reward::Classifier(name)) => Some(finder.model(&of("reward"), name)?),
        _ => None,
    };
    let (mut comparisons, mut out_of_distribution) = (None, None);
    let main = match &study.task {
        Task::Oracle(task) => Corpus::Oracle(task.world.clone()),
        Task::Sentiment(task) => finder.corpus(&of("corpus"), &task.corpus)?,
        Task::Dialogue(task) => {
            let main = finder.corpus(&of("corpus"), &task.corpus)?;
            each_file(&main, &of("corpus"), has_preferences)?;
            main
        }
        Task::Summarisation(task) => {
            let main = finder.corpus(&of("corpus"), &task.corpus)?;
            each_file(&main, &of("corpus"), has_demonstrations)?;
            if !task.comparisons.is_empty() {
                let found = finder.corpus(&of("comparisons"), &task.comparisons)?;
                each_file(&found, &of("comparisons"), has_preferences)?;
                comparisons = Some(found);
            }
            if !task.out_of_distribution.is_empty() {
                let found = finder.corpus(&of("out_of_distribution"), &task.out_of_distribution)?;
                each_file(&found, &of("out_of_distribution"), has_demonstrations)?;
                out_of_distribution = Some(found);
            }
            main
        }
    };
    let (mut judges, mut templates) = (BTreeMap::new(), BTreeMap::new());
    for judge in &study.judges {
        for (role, source) in judge.kind.settings().models() {
            if let Source::Named(name) = source {
                let found = finder.model(&format!("{}.{}.{role}", judge.table, judge.kind.name()), name)?;
                judges.insert((judge.name.clone(), role.to_owned()), found);
            }
        }
        if let Some(path) = judge.kind.settings().template() {
            let key = format!("{}.{}.prompt", judge.table, judge.kind.name());
            let path = folder(&key).join(path);
            let unreadable = |error| Error::Data(format!("cannot read {}: {error}", path.display()));
            let text = std::fs::read_to_string(&path).map_err(unreadable).map_err(|error| (key, error))?;
            templates.insert(judge.name.clone(), text);
        }
    }
    let sources = finder.sources;
    Ok(Resolved { corpus: main, comparisons, out_of_distribution, model: base, classifier, judges, templates, sources })
}

/// Finds what names stand for, and notes what came from the hub.
struct Finder<'a, 'f> {
    folder: &'a dyn Fn(&str) -> PathBuf,
    fetch: Fetch<'f>,
    sources: Vec<String>,
}

impl Finder<'_, '_> {
    fn model(&mut self, key: &str, name: &str) -> Result<BaseModel, (String, Error)> {
        let found = model(name, &(self.folder)(key), &mut self.fetch, &mut self.sources);
        found.map_err(|error| (key.to_owned(), error))
    }

    fn corpus(&mut self, key: &str, names: &[String]) -> Result<Corpus, (String, Error)> {
        let found = corpus(names, &(self.folder)(key), &mut self.fetch, &mut self.sources);
        found.map_err(|error| (key.to_owned(), error))
    }
}

/// Looks at every file of a corpus.
fn each_file(corpus: &Corpus, key: &str, look: fn(&Path) -> Result<()>) -> Result<(), (String, Error)> {
    let Corpus::Files(files) = corpus else { return Ok(()) };
    files.iter().try_for_each(|file| look(&file.path)).map_err(|error| (key.to_owned(), error))
}

fn corpus(names: &[String], folder: &Path, fetch: &mut Fetch<'_>, sources: &mut Vec<String>) -> Result<Corpus> {
    if let [name] = names
        && let Some(name) = name.strip_prefix("builtin:")
    {
        return Ok(Corpus::Builtin(name.to_owned()));
    }
    let (on_hub, local): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| name.starts_with(hub::PREFIX));
    let mut files = if local.is_empty() { Vec::new() } else { data_files(crate::data::files::expand(&local, folder)?)? };
    for name in &on_hub {
        let parsed: hub::Name = name.parse()?;
        let found = match fetch {
            Fetch::No => Hub::new(true)?.dataset(&parsed, &mut |_| ()),
            Fetch::Yes(progress) => Hub::new(false)?.dataset(&parsed, *progress),
        };
        let (snapshot, paths) = match found {
            Ok(found) => found,
            Err(Error::Other(_)) if matches!(fetch, Fetch::No) => return Ok(Corpus::Hub(on_hub)),
            Err(error) => return Err(error),
        };
        sources.push(format!("{}{}@{}", hub::PREFIX, parsed.repository, snapshot.revision));
        let mut found = data_files(paths)?;
        // Beside a train and a test split there may be others, as IMDb's reviews without labels.
        if found.iter().any(|file| file.side.is_some()) {
            found.retain(|file| file.side.is_some());
        }
        files.extend(found);
    }
    Ok(Corpus::Files(files))
}

/// Found by a file's first row, before anything runs.
fn has_preferences(path: &Path) -> Result<()> {
    let format = formats::of_file(path)?;
    if format.has_preferences() {
        return Ok(());
    }
    let what = format!("is of the format {}, which does not say which completions are better", format.name());
    Err(Error::Data(format!("{} {what}", path.display())))
}

/// The same for texts with what a person wrote after them.
fn has_demonstrations(path: &Path) -> Result<()> {
    let format = formats::of_file(path)?;
    if format.has_demonstrations() {
        return Ok(());
    }
    let what = format!("is of the format {}, which has no completion by a person for each prompt", format.name());
    Err(Error::Data(format!("{} {what}", path.display())))
}

fn data_files(paths: Vec<PathBuf>) -> Result<Vec<DataFile>> {
    let digest = |path: PathBuf| {
        let side = reviews::Split::of_file(&path).or_else(|| match hub::split_of(&path)?.as_str() {
            "train" => Some(reviews::Split::Train),
            "test" | "validation" => Some(reviews::Split::Test),
            _ => None,
        });
        let blake3 = FileRecord::of(&path)?.blake3;
        Ok(DataFile { blake3, side, path: std::path::absolute(&path).unwrap_or(path) })
    };
    paths.into_iter().map(digest).collect()
}

/// Where a model is: a folder, relative to `folder`, or a `hub:` name.
pub fn model_folder(name: &str, folder: &Path, mut fetch: Fetch<'_>) -> Result<PathBuf> {
    match model(name, folder, &mut fetch, &mut Vec::new())? {
        BaseModel::Folder(found) => Ok(found.path),
        BaseModel::Builtin(name) | BaseModel::Hub(name) => {
            Err(Error::Data(format!("{name} is not on this machine: give a folder in Hugging Face layout")))
        }
    }
}

fn model(name: &str, folder: &Path, fetch: &mut Fetch<'_>, sources: &mut Vec<String>) -> Result<BaseModel> {
    if name.starts_with("builtin:") {
        return Ok(BaseModel::Builtin(name.to_owned()));
    }
    if !name.starts_with(hub::PREFIX) {
        let path = folder.join(name);
        if !path.join("config.json").is_file() {
            let what = "is no folder with a config.json: name a model in Hugging Face layout";
            return Err(Error::Data(format!("{} {what}", path.display())));
        }
        return Ok(BaseModel::Folder(ModelFolder::of(&path, None)?));
    }
    let parsed: hub::Name = name.parse()?;
    let found = match fetch {
        Fetch::No => Hub::new(true)?.model(&parsed, &mut |_| ()),
        Fetch::Yes(progress) => Hub::new(false)?.model(&parsed, *progress),
    };
    match found {
        Ok(snapshot) => {
            let source = format!("{}{}@{}", hub::PREFIX, parsed.repository, snapshot.revision);
            sources.push(source.clone());
            Ok(BaseModel::Folder(ModelFolder::of(&snapshot.folder, Some(source))?))
        }
        Err(Error::Other(_)) if matches!(fetch, Fetch::No) => Ok(BaseModel::Hub(name.to_owned())),
        Err(error) => Err(error),
    }
}

impl ModelFolder {
    /// Digests the files of a folder that make up a model.
    pub fn of(path: &Path, source: Option<String>) -> Result<Self> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut files = Vec::new();
        let entries =
            std::fs::read_dir(&path).map_err(|error| Error::Data(format!("cannot read {}: {error}", path.display())))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_part = [".json", ".safetensors", ".jinja", ".txt"].iter().any(|end| name.ends_with(end));
            if is_part && entry.path().is_file() {
                files.push((name, FileRecord::of(&entry.path())?.blake3));
            }
        }
        files.sort();
        Ok(ModelFolder { path, source, files })
    }
}
