//! What the world of posts promises: texts in its limits, and a reward under which every fault costs.

use std::collections::HashSet;

use proptest::prelude::*;

use super::scorer::{Score, score};
use super::story::Event;
use super::words::{EVENTS, FAMILIARS, TRIFLES, VALUABLES};
use super::*;

const STORIES: u64 = 2_000;

fn stories() -> impl Iterator<Item = Story> {
    (0..STORIES).map(|index| fitting(&mut Dice::new("test", 1, index), story::post))
}

fn say(events: impl IntoIterator<Item = Event>) -> String {
    let sentences: Vec<String> =
        events.into_iter().map(|event| format!("{} {} {} .", event.who, event.deed, event.what)).collect();
    sentences.join(" ")
}

fn mattering(story: &Story) -> Vec<Event> {
    story.events.iter().filter(|event| event.matters).copied().collect()
}

/// Score of `summary` under the prompt of `story`.
fn judged(story: &Story, summary: &str) -> Score {
    score(&format!("{} {summary}", story.prompt()))
}

fn read(post: &Post) -> Score {
    score(&format!("{} {}", post.prompt, post.summary))
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, variance.sqrt())
}

/// Asserts that the rewards of these summaries of one post fall strictly.
fn falls(summaries: &[&str]) {
    let prompt = "title : help with mum . post : mum lost gold last week ! ben sold cattle . anna liked hats . i burned cups today . \
        thanks for reading . tl;dr :";
    for pair in summaries.windows(2) {
        let [better, worse] = [pair[0], pair[1]].map(|summary| score(&format!("{prompt} {summary}")).reward);
        assert!(better > worse, "{:?} has {better}, {:?} has {worse}", pair[0], pair[1]);
    }
}

#[test]
fn faults_are_ordered() {
    let best = "mum lost gold . ben sold cattle . i burned cups .";
    let more = |addition: &str| format!("{best} {addition}");
    falls(&[
        best,
        "mum lost gold last week . ben sold cattle . i burned cups .",
        &more("anna liked hats ."),
        &more("thanks for reading ."),
        &more("anna lost boats ."),
        &more("anna lost boats . anna lost boats ."),
    ]);
    falls(&[best, "mum lost gold . ben sold cattle .", "mum lost gold .", "ben sold cattle .", "i burned cups ."]);
    falls(&["i burned cups .", "", "anna liked hats .", "thanks for reading .", "anna lost boats .", "anna boats lost ."]);
    falls(&["mum lost gold .", "mum lost gold . mum lost gold .", "mum lost gold . mum lost gold . mum lost gold ."]);
    falls(&["mum lost gold last week .", "mum lost gold last week . mum lost", "mum lost gold today .", "mum lost gold"]);
}

#[test]
fn form_and_order_do_not_count() {
    let prompt = "news : reports say gold got lost by bankers today . ben sold cattle ! tl;dr :";
    for summary in ["bankers lost gold . ben sold cattle .", "cattle got sold by ben . bankers lost gold !"] {
        assert_eq!(score(&format!("{prompt} {summary}")).reward, 1.0, "{summary}");
    }
    assert_eq!(score(&format!("{prompt} reports say bankers lost gold today . ben sold cattle .")).extras, 2);
}

#[test]
fn stress_and_title_raise_importance() {
    let coverage = |title: &str, mark: &str| {
        score(&format!("title : {title} . post : mum lost gold {mark} ben lost cattle . tl;dr : mum lost gold .")).coverage
    };
    assert_eq!(coverage("help with anna", "."), 0.5);
    assert_eq!(coverage("help with anna", "!"), 0.6);
    assert_eq!(coverage("what about gold", "."), 0.6);
    assert_eq!(coverage("mum and gold", "."), 0.6);
    assert_eq!(coverage("what about ben", "."), 0.4);
    assert!((coverage("help with mum", "!") - 2.25 / 3.25).abs() < 1e-12);
}

/// Few-shot prompts hold other posts before the one that is asked about.
#[test]
fn only_the_last_post_counts() {
    let shots = "title : help with mum . post : mum lost gold . tl;dr : mum lost gold .";
    let asked = "title : help with ben . post : ben sold cattle . mum sold land . tl;dr :";
    assert_eq!(score(&format!("{shots} {asked} mum lost gold .")).invented, 1);
    assert_eq!(score(&format!("{shots} {asked} ben sold cattle . mum sold land .")).reward, 1.0);
    assert_eq!(score(&format!("{shots} {asked} mum sold land .")).coverage, 0.4);
    // The example's title says nothing about an article.
    assert_eq!(score(&format!("{shots} news : mum sold land . ben sold cattle . tl;dr : mum sold land .")).coverage, 0.5);
}

#[test]
fn stating_what_matters_and_nothing_else_is_best() {
    for story in stories() {
        let best = mattering(&story);
        let summary = say(best.clone());
        assert!(!best.is_empty() && summary.split(' ').count() <= SUMMARY_TOKENS);
        assert_eq!(judged(&story, &summary).reward, 1.0, "{} {summary}", story.prompt());
        let worse = |changed: String, most: f64| {
            let reward = judged(&story, &changed).reward;
            assert!(reward <= most, "{} {changed}: {reward}", story.prompt());
        };
        for forgotten in 0..best.len() {
            let rest = best.iter().enumerate().filter(|(place, _)| *place != forgotten).map(|(_, event)| *event);
            worse(say(rest), 0.96);
        }
        for idle in story.events.iter().filter(|event| !event.matters) {
            worse(format!("{summary} {}", say([*idle])), 0.7);
        }
        for aside in words::ASIDES {
            worse(format!("{summary} {aside} ."), 0.65);
        }
        worse(format!("{summary} {summary}"), 0.5);
        let (first, last) = (story.events[0], story.events[story.events.len() - 1]);
        worse(format!("{summary} {}", say([Event { who: last.who, ..first }])), 0.5);
        for changed in 0..best.len() {
            let other = *story.events.iter().find(|event| event.who != best[changed].who).expect("two events");
            for wrong in [
                Event { who: other.who, ..best[changed] },
                Event { deed: other.deed, ..best[changed] },
                Event { what: other.what, ..best[changed] },
            ] {
                let mut events = best.clone();
                events[changed] = wrong;
                worse(say(events), 0.48);
            }
        }
        let prompt = story.prompt();
        let copy =
            prompt.split_once("post : ").and_then(|(_, rest)| rest.strip_suffix(" tl;dr :")).expect("the layout of a post");
        worse(copy.to_owned(), 0.7);
    }
}

#[test]
fn copying_the_post_is_far_from_best() {
    let copies: Vec<f64> = stories()
        .map(|story| {
            let prompt = story.prompt();
            let copy = prompt.split_once("post : ").and_then(|(_, rest)| rest.strip_suffix(" tl;dr :")).unwrap_or_default();
            judged(&story, copy).reward
        })
        .collect();
    let mean = moments(&copies).0;
    assert!((0.45..0.55).contains(&mean), "{mean}");
}

#[test]
fn texts_are_in_the_vocabulary_and_in_the_limits() {
    let words = vocabulary();
    assert!(words.is_sorted() && (100..=160).contains(&words.len()), "{} words", words.len());
    assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    let known: HashSet<&str> = words.into_iter().collect();
    let mut written = HashSet::new();
    for post in posts(7, 5_000).into_iter().chain(news(7, 5_000)) {
        let (prompt, summary) = (post.prompt.split(' ').count(), post.summary.split(' ').count());
        assert!(prompt <= PROMPT_TOKENS && (4..=SUMMARY_TOKENS).contains(&summary), "{post:?}");
        assert!(post.prompt.ends_with(" tl;dr :") && post.summary.ends_with(" ."), "{post:?}");
        written.extend(format!("{} {}", post.prompt, post.summary).split(' ').map(str::to_owned));
    }
    let found: HashSet<&str> = written.iter().map(String::as_str).collect();
    assert_eq!(found, known);
    assert!(
        pages(7, 5_000)
            .iter()
            .flat_map(|page| page.prompt.split(' ').chain(page.summary.split(' ')))
            .all(|word| known.contains(word))
    );
}

#[test]
fn summaries_are_of_the_stated_quality() {
    let quality = |rewards: Vec<f64>| moments(&rewards);
    let (posts, posts_sd) = quality(posts(3, 10_000).iter().map(|post| read(post).reward).collect());
    let (pages, pages_sd) = quality(pages(3, 10_000).iter().map(|page| read(page).reward).collect());
    let (news, news_sd) = quality(news(3, 10_000).iter().map(|post| read(post).reward).collect());
    for (mean, expected) in [(posts, POSTS), (pages, PAGES), (news, NEWS)] {
        assert!((mean - expected).abs() < 0.02, "posts {posts}, pages {pages}, news {news}");
    }
    assert!([posts_sd, pages_sd, news_sd].iter().all(|sd| (0.25..0.38).contains(sd)), "{posts_sd} {pages_sd} {news_sd}");
}

/// Mean rewards of summaries by people.
const POSTS: f64 = 0.60;
const PAGES: f64 = 0.50;
const NEWS: f64 = 0.69;

#[test]
fn people_write_grammar_and_say_nothing_twice() {
    for post in posts(9, 5_000).iter().chain(&news(9, 5_000)) {
        let score = read(post);
        assert!(score.grammatical == 1.0 && score.statements > 0, "{post:?}");
    }
}

#[test]
fn posts_are_varied_and_news_is_another_world() {
    let (posts, news) = (posts(11, 10_000), news(11, 10_000));
    assert!(posts.iter().map(|post| &post.prompt).collect::<HashSet<_>>().len() > 9_900);
    let public = |posts: &[Post]| {
        let words: Vec<&str> = posts.iter().flat_map(|post| post.prompt.split(' ')).collect();
        let count = |table: &[&str]| words.iter().filter(|word| table.contains(word)).count() as f64;
        count(words::PUBLIC) / (count(words::PUBLIC) + count(FAMILIARS))
    };
    assert!(public(&posts) < 0.3 && public(&news) > 0.8);
    assert!(
        posts.iter().all(|post| post.prompt.starts_with("title :")) && news.iter().all(|post| post.prompt.starts_with("news :"))
    );
}

#[test]
fn texts_depend_on_seed_and_index_only() {
    assert_eq!(posts(5, 300)[..100], posts(5, 100)[..]);
    assert_eq!(pages(5, 300)[..100], pages(5, 100)[..]);
    assert_eq!(news(5, 300)[..100], news(5, 100)[..]);
    assert_ne!(posts(5, 10), posts(6, 10));
}

#[test]
fn text_without_the_layout_has_no_reward() {
    for text in ["", " \n", "mum lost gold .", "tl;dr", "title : help with mum . post : mum lost gold . mum lost gold .", "ü 🎬"]
    {
        assert_eq!(score(text), Score::default(), "{text:?}");
    }
    // Nothing to cover, and nothing to be right about.
    assert_eq!(score("tl;dr : mum lost gold .").invented, 1);
}

/// Texts of the world's words, and prompts with words or with summaries of other posts.
fn soup() -> impl Strategy<Value = String> {
    let word = || proptest::sample::select(vocabulary());
    let fact = (
        proptest::sample::select(FAMILIARS),
        proptest::sample::select(EVENTS),
        proptest::sample::select([VALUABLES, TRIFLES].concat()),
    );
    let sentence = prop_oneof![
        fact.prop_map(|(who, (deed, _), what)| format!("{who} {deed} {what} .")),
        proptest::collection::vec(word(), 0..6).prop_map(|words| words.join(" ")),
    ];
    let summary = proptest::collection::vec(sentence, 0..6).prop_map(|sentences| sentences.join(" "));
    let prompt = (0..200_usize).prop_map(|index| posts(19, index + 1).swap_remove(index).prompt);
    prop_oneof![summary.clone(), (prompt, summary).prop_map(|(prompt, summary)| format!("{prompt} {summary}"))]
}

proptest! {
    #[test]
    fn any_text_has_a_score(text in any::<String>()) {
        let first = score(&text);
        prop_assert!((0.0..=1.0).contains(&first.reward) && (0.0..=1.0).contains(&first.grammatical));
        prop_assert_eq!(first, score(&text));
    }

    #[test]
    fn any_words_have_a_score(text in soup()) {
        let found = score(&text);
        prop_assert!((0.0..=1.0).contains(&found.reward) && found.reward <= found.grammatical);
        prop_assert!((0.0..=1.0).contains(&found.coverage));
    }

    #[test]
    fn saying_all_of_it_again_never_pays(index in 0..200_usize) {
        let post = posts(23, index + 1).swap_remove(index);
        let twice = Post { summary: format!("{0} {0}", post.summary), ..post.clone() };
        prop_assert!(read(&twice).reward <= 0.5 * read(&post).reward + 1e-12);
    }
}
