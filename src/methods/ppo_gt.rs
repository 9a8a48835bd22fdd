//! PPO on the true reward, which only an experiment knows: an upper bound for PPO (Rafailov et al. 2023, section 6).

use super::ppo::{Ppo, RewardSource};
use super::{Parameters, Role};
use serde::{Deserialize, Serialize};

/// `[method.ppo_gt]`: the keys of `[method.ppo]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Ppo")]
pub struct PpoGt(Ppo);

impl From<Ppo> for PpoGt {
    fn from(ppo: Ppo) -> Self {
        PpoGt(Ppo { reward: ppo.reward.or(Some(RewardSource::True)), ..ppo })
    }
}

impl Parameters for PpoGt {
    fn role(&self) -> Role<'_> {
        Role::Reinforce(&self.0)
    }

    fn problems(&self) -> Vec<(&'static str, String, String)> {
        let learned = (!self.0.uses_true_reward()).then(|| {
            let what = "`ppo_gt` is PPO on the true reward".to_owned();
            ("reward", what, "remove this line, or use [method.ppo]".to_owned())
        });
        self.0.problems().into_iter().chain(learned).collect()
    }
}
