//! Closed forms as the command gives them.
#![allow(clippy::unwrap_used)]

mod quantity;

use std::process::Command;

use serde_json::Value;
use swarm_sim::theory::FORMS;

use quantity::{said, values};

#[test]
fn closed_forms_have_values_found_at_high_precision() {
    for (line, exact) in [
        ("path-both-ends nodes=1000000 malicious=2", 2.000_002_000_002e-12),
        ("path-all-hops nodes=5 malicious=2 hops=3", 0.0),
        ("path-any-hop nodes=4 malicious=4 hops=4", 1.0),
        ("request-both-ends nodes=1000000 malicious=300000", 0.152_999_768_999_601),
        (
            "fresh-paths-compromise nodes=1000000 malicious=2 paths=1000000000",
            0.001_998_003_328_674_920_6,
        ),
        ("guard-compromise-by malicious_share=0.1 life_days=0.1 days=0.3", 0.3439),
        ("guard-compromise-by malicious_share=1e-300 life_days=1 days=0", 1e-300),
        (
            "guard-set-compromise-by malicious_share=0.1 guards=1 life_min_days=60 life_max_days=120 days=90",
            0.145,
        ),
        // Sums of 2 and 3 lives are at most 200 days with 7/9 and 1/162.
        (
            "guard-set-compromise-by malicious_share=0.1 guards=1 life_min_days=60 life_max_days=120 days=200",
            0.253_45,
        ),
        (
            "guard-set-compromise-by malicious_share=0.1 guards=2 life_min_days=0.1 life_max_days=0.1 days=0.3",
            0.569_532_79,
        ),
        (
            "guard-set-compromise-by malicious_share=1e-300 guards=2 life_min_days=60 life_max_days=120 days=0",
            2e-300,
        ),
        ("guard-days-to-compromise malicious_share=0.2 life_days=30", 120.0),
        ("predecessor-rounds nodes=5 malicious=2", 9.230_895_589_643_3),
        ("threshold-mix-entropy n=3", 1.584_962_500_721_156_2),
        ("pool-mix-entropy in=4 kept=6", 4.427_376_486_136_671),
        ("bayes-detection tpr=0.9 fpr=0.02 flows=50", 0.478_723_404_255_319),
        ("sda-observations senders=20 batch=1 partners=20 confidence=1.5", 42.75),
        ("intersection-rounds users=100 batch=60000", 3.517_678_827_147_150_7e262),
        ("presence-set users=1000000000 presence=0.1 rounds=9", 1.999_999_999),
        (
            "swarm-capture nodes=1000000 malicious=300000 size=300 at_least=200",
            4.407_334_609_624_663_5e-39,
        ),
        ("quorum-capture nodes=5 malicious=2 size=3 at_least=1", 0.9),
        ("burst-loss nodes=1000000000 lost_share=0.1 size=40", 9.999_929_800_236_234e-41),
        ("swarm-availability size=1000 availability=0.8 at_least=900", 8.731_206_511_212_329e-18),
        ("mttdl size=10 fail_rate=1e-9 repair_rate=1", 1.000_000_010_111_111_2e89),
        ("loss-within size=10 fail_rate=0.001 repair_rate=1 time=1e-20", 1e-230),
        ("loss-without-repair size=1000 mean_life=10 time=8", 7.802_506_197_634_557e-260),
        ("erlang-delay hops=1 quantile=1e-300", 1e-300),
    ] {
        let value = values(line)[0];
        assert!((value - exact).abs() <= 1e-11 * exact, "{line}: {value} is not {exact}");
    }
}

#[test]
fn impossible_parameters_exit_2_and_list_what_is_allowed() {
    for (line, part) in [
        ("analytic path-both-ends nodes=3 malicious=1 hops=4", "hops cannot be above nodes"),
        ("analytic path-both-ends nodes=3 malicious=1 hops=1", "hops cannot be `1`"),
        ("analytic path-both-ends nodes=3 malicious=4", "malicious cannot be above nodes"),
        ("analytic path-both-ends nodes=3", "malicious is missing"),
        ("analytic path-both-ends nodes=3 nodes=3 malicious=1", "nodes is given twice"),
        ("analytic path-both-ends nodes=3 malicious=1 odd=1", "there is no parameter `odd`"),
        ("analytic path-both-ends nodes=3.5 malicious=1", "nodes cannot be `3.5`"),
        ("analytic path-both-ends nodes", "is not key=value"),
        (
            "analytic request-both-ends nodes=3 malicious=1",
            "nodes must be at least 4: a request takes 4 different ones",
        ),
        ("analytic fresh-paths-compromise nodes=2 malicious=1 paths=1", "nodes must be at least 3"),
        ("analytic guards-day-zero nodes=3 malicious=1 guards=4", "guards cannot be above nodes"),
        (
            "analytic guard-set-compromise-by malicious_share=0.1 guards=1 life_min_days=2 life_max_days=1 days=1",
            "life_min_days cannot be above life_max_days",
        ),
        (
            "analytic guard-set-compromise-by malicious_share=0.1 guards=1 life_min_days=1 life_max_days=3 days=201",
            "days cannot be above 100 mean lives",
        ),
        ("analytic entropy p=0.5,0.4", "shares that sum to 1"),
        ("analytic wilson hits=5 of=4 level=0.95", "hits cannot be above of"),
        ("analytic wilson hits=1 of=4 level=1", "level cannot be `1`"),
        ("analytic mttdl size=3 fail_rate=1 repair_rate=1 repair=none", "parallel|serial"),
        ("analytic garlic", "the metrics are path-both-ends"),
        ("estimate wilson hits=1 of=4 level=0.9 --samples 10", "these can: path-both-ends"),
        ("estimate path-both-ends nodes=9 malicious=1 --samples 0", "from 2 to 1000000000000"),
    ] {
        let (code, error) = said(line);
        let text = error["error"]["text"].as_str().unwrap();
        assert!(code == Some(2) && text.contains(part), "{line}: {text}");
        assert_eq!(error["error"]["retry"], "never");
    }
}

#[test]
fn what_floating_point_cannot_hold_is_refused_and_what_it_can_is_estimated() {
    let rare = "fail_rate=1e-9 repair_rate=1e6 repair=serial";
    for line in [
        &format!("size=23 time=1e15 {rare}"),
        &format!("size=23 time=1e200 {rare}"),
        &format!("size=24 time=1e290 {rare}"),
        "size=5 fail_rate=1e-3 repair_rate=1e62 time=1e200",
    ] {
        let (code, found) = said(&format!("analytic loss-within {line}"));
        assert!(code == Some(2) && found.to_string().contains("beyond floating point"), "{line}");
    }
    // What is below all numbers with their digits is zero.
    for line in [
        "size=200 fail_rate=0.001 repair_rate=1 time=1",
        "size=2 fail_rate=1e-160 repair_rate=1 time=100",
    ] {
        assert_eq!(values(&format!("loss-within {line}")), [0.0]);
    }
    let exact = values(&format!("loss-within size=15 time=1e200 {rare}"))[0];
    let mean = values(&format!("mttdl size=15 {rare}"))[0];
    assert!((exact / -(-1e200 / mean).exp_m1() - 1.0).abs() < 1e-9, "{exact} {mean}");
    // Lives that are almost equal.
    let near = "malicious_share=0.1 guards=1 life_min_days=29.999999 life_max_days=30 days=300";
    let (code, found) = said(&format!("analytic guard-set-compromise-by {near}"));
    assert!(code == Some(2) && found.to_string().contains("a millionth apart"), "{found}");
}

#[test]
fn metrics_lists_every_form_with_its_source() {
    let program = env!("CARGO_BIN_EXE_swarm-sim");
    let output = Command::new(program).args(["metrics", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), FORMS.len());
    for (line, form) in lines.iter().zip(FORMS) {
        assert_eq!(
            (line["name"].as_str(), line["source"].as_str()),
            (Some(form.name), Some(form.source))
        );
    }
    assert_eq!(FORMS.len(), 29);
}
