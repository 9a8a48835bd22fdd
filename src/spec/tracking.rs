//! `[tracking]`: where a study's numbers can be watched while it runs. It is no part of any key or name.

use super::study::Study;
use super::validate::Checker;
use crate::web::Reach;
use serde::{Deserialize, Serialize};

/// `[tracking]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracking {
    /// Whether runs get TensorBoard's event files.
    pub tensorboard: bool,
    /// Address of an MLflow server.
    pub mlflow: Option<String>,
    /// Name of the experiment there; that of the study if absent.
    pub mlflow_experiment: Option<String>,
}

/// Addresses and names that cannot be.
pub(super) fn tracking(study: &Study, check: &mut Checker<'_>) {
    let tracking = &study.tracking;
    if let Some(address) = &tracking.mlflow {
        // The address stands in messages and in files, so it must not hold a password.
        let what = "the address holds a user name or a password";
        let hint = "give it without them, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";
        check.that(!address.contains('@'), "tracking.mlflow", what, hint);
        let what = "this is not the address of a server";
        check.that(Reach::of(address).is_some(), "tracking.mlflow", what, "write it like \"http://127.0.0.1:5000\"");
    }
    if let Some(name) = &tracking.mlflow_experiment {
        let fine = !name.trim().is_empty() && name.len() <= 500 && !name.contains(char::is_control);
        let hint = "leave it out: the name of the study is the default";
        check.that(fine, "tracking.mlflow_experiment", "an experiment needs a name of one line", hint);
        let what = "`mlflow_experiment` says nothing without `mlflow`";
        check.that(tracking.mlflow.is_some(), "tracking.mlflow_experiment", what, "add mlflow = \"http://HOST:PORT\"");
    }
}
