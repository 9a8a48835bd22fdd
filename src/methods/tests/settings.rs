//! What methods accept, refuse and write.

use super::*;
use crate::spec::{Table, tree};
use toml::de::DeValue;

fn problems(name: &str, settings: Value) -> Vec<String> {
    method(name, settings).problems().into_iter().map(|(key, ..)| key.to_owned()).collect()
}

#[test]
fn tables_without_keys_are_in_range_and_untrained_methods_are_those_that_train_nothing() {
    for name in Method::NAMES {
        let mut table = Table::new();
        if *name == "best_of_n" {
            table.insert(tree::key("n", 0..0), DeValue::parse("4").expect("a value"));
        }
        let method = Method::read(name, table, 0..0).expect("defaults");
        assert_eq!((method.name(), method.problems().len()), (*name, 0));
        assert_eq!(!method.trains(), Method::UNTRAINED.contains(name), "{name}");
    }
}

#[test]
fn an_option_at_its_default_is_not_written_so_that_no_stage_changes() {
    for (name, options, written) in [
        (
            "dpo",
            json!({"average_log_prob": false, "reference_free": false, "divergence": "reverse-kl", "sft_weight": 0.0}),
            json!({"beta": 0.1}),
        ),
        ("dpo", json!({"divergence": "alpha", "divergence_alpha": 0.5}), json!({"beta": 0.1, "divergence": "alpha"})),
        ("cdpo", json!({}), json!({"beta": 0.1, "label_smoothing": 0.1})),
        ("robust_dpo", json!({}), json!({"beta": 0.1, "label_smoothing": 0.1})),
        ("ipo", json!({"form": "sum"}), json!({"beta": 0.1})),
        ("kto", json!({"desirable_weight": 1.0, "undesirable_weight": 1.0, "data": "paired"}), json!({"beta": 0.1})),
        ("simpo", json!({"gamma": 1.0}), json!({"beta": 2.0})),
        ("orpo", json!({}), json!({"beta": 0.1})),
        ("plackett_luce", json!({}), json!({"beta": 0.1})),
    ] {
        assert_eq!(serde_json::to_value(method(name, options)).expect("JSON"), json!({ name: written }));
    }
}

#[test]
fn what_is_written_is_read_back() {
    for (name, settings) in [
        (
            "dpo",
            json!({"beta": 0.3, "average_log_prob": true, "divergence": "alpha", "divergence_alpha": 0.25, "sft_weight": 0.1}),
        ),
        ("dpo", json!({"beta": 0.3, "reference_free": true})),
        ("ipo", json!({"beta": 0.3, "form": "mean"})),
        ("kto", json!({"beta": 0.3, "desirable_weight": 1.2, "undesirable_weight": 0.5, "data": "one-of-pair"})),
        ("simpo", json!({"beta": 2.5, "gamma": 0.0})),
    ] {
        assert_eq!(serde_json::to_value(method(name, settings.clone())).expect("JSON"), json!({ name: settings }));
    }
}

#[test]
fn values_out_of_range_are_named() {
    for name in ["dpo", "cdpo", "robust_dpo", "ipo", "hinge", "kto", "orpo", "simpo", "plackett_luce"] {
        assert_eq!(problems(name, json!({"beta": 0.0})), ["beta"], "{name}");
    }
    for name in ["cdpo", "robust_dpo"] {
        assert_eq!(problems(name, json!({"label_smoothing": 0.5})), ["label_smoothing"], "{name}");
    }
    assert_eq!(problems("dpo", json!({"sft_weight": -1.0})), ["sft_weight"]);
    assert_eq!(problems("dpo", json!({"divergence": "alpha", "divergence_alpha": 1.5})), ["divergence_alpha"]);
    assert_eq!(problems("kto", json!({"desirable_weight": 0.0, "undesirable_weight": -1.0})).len(), 2);
    assert_eq!(problems("simpo", json!({"gamma": -0.5})), ["gamma"]);
    assert_eq!(problems("simpo", json!({"gamma": 0.0})), [""; 0]);
}

#[test]
fn options_that_do_not_go_together_are_named() {
    assert_eq!(problems("dpo", json!({"reference_free": true, "divergence": "forward-kl"})), ["divergence"]);
    assert_eq!(problems("dpo", json!({"divergence_alpha": 0.5})), ["divergence_alpha"]);
    assert_eq!(problems("dpo", json!({"divergence": "alpha", "divergence_alpha": 0.5})), [""; 0]);
}

#[test]
fn keys_of_other_methods_are_unknown() {
    for (name, settings) in [("hinge", json!({"gamma": 1.0})), ("dpo", json!({"alpha": 0.5})), ("kto", json!({"form": "mean"}))] {
        assert!(serde_json::from_value::<Method>(json!({ name: settings })).is_err(), "{name}");
    }
}

#[test]
fn every_method_says_what_it_needs() {
    use crate::methods::Examples::{Judgements, Pairs, Rankings};
    for (name, examples, reference, rejected, mismatched) in [
        ("preferred_ft", Pairs, false, false, false),
        ("unlikelihood", Pairs, false, true, false),
        ("dpo", Pairs, true, true, false),
        ("cdpo", Pairs, true, true, false),
        ("robust_dpo", Pairs, true, true, false),
        ("ipo", Pairs, true, true, false),
        ("hinge", Pairs, true, true, false),
        ("kto", Judgements, true, true, true),
        ("orpo", Pairs, false, true, false),
        ("simpo", Pairs, false, true, false),
        ("plackett_luce", Rankings, true, true, false),
    ] {
        let method = method(name, json!({}));
        let needs = objective(&method);
        let got = (needs.examples(), needs.needs_reference(), needs.needs_rejected(), needs.needs_mismatched());
        assert_eq!(got, (examples, reference, rejected, mismatched), "{name}");
    }
    assert!(!objective(&method("dpo", json!({"reference_free": true}))).needs_reference());
}
