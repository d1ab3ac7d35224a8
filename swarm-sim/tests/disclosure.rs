//! Adversaries against closed forms, and what they must not see.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use swarm_sim::adversary::{
    Adversary, Briefing, Matching, Observation, Posterior, Sends, Stores, Vantage,
};
use swarm_sim::disclosure::{Disclosed, DisclosureError, GivenUp, run_against};
use swarm_sim::metric::Metric;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::{Disclosure, Engine, Scenario, Share};
use swarm_sim::theory::Query;

#[path = "../examples/adversary.rs"]
mod example;

/// A world of 100 users and batches of 50, in which the target writes to one partner each round, with parts replaced.
fn scenario(kind: &str, change: &[(&str, &str)]) -> Scenario {
    let mut text = String::from(
        "version = 1\nengine = \"disclosure\"\nname = \"test\"\nabout = \"a test\"\nreplicates = 1
        targets = 100\nrounds = 4\n[users]\ncount = 100\n[target]\npartners = 1\nsends = \"100 %\"
        [traffic]\nbatch = 50\n[adversary]\nkind = ",
    );
    text.push_str(kind);
    for (from, to) in change {
        assert!(text.contains(from), "no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn config(seed: u64, replicates: u32, threads: usize) -> RunConfig {
    RunConfig { seed, replicates, threads: NonZeroUsize::new(threads).unwrap() }
}

fn report(scenario: &Scenario, replicates: u32) -> RunReport {
    run(scenario, &config(1, replicates, 2)).unwrap()
}

fn metric<'a>(report: &'a RunReport, name: &str) -> &'a Metric {
    report.metric(name).unwrap_or_else(|| panic!("no {name}"))
}

fn analytic(name: &str, args: &str) -> f64 {
    let words: Vec<String> = args.split(' ').map(str::to_owned).collect();
    Query::parse(name, &words).unwrap().values()[0]
}

/// Whether a mean over replicates lies within 5 of its standard errors.
fn mean_agrees(metric: &Metric, expected: f64) {
    let each: Vec<f64> = metric.by_replicate.iter().map(|value| value.unwrap()).collect();
    let (n, mean) = (each.len() as f64, metric.value.unwrap());
    let variance = each.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    assert!(error < 0.05 * expected, "{} is too uncertain: {error}", metric.name);
    let name = metric.name;
    assert!((mean - expected).abs() < 5.0 * error, "{name}: {mean} ± {error}, {expected}");
}

/// Whether a share of independent targets lies within 5 standard errors, √(p(1 − p)/n).
fn share_agrees(metric: &Metric, expected: f64) {
    let error = (expected * (1.0 - expected) / metric.samples as f64).sqrt();
    let (name, value) = (metric.name, metric.value.unwrap());
    assert!((value - expected).abs() < 5.0 * error, "{name}: {value} ± {error}, {expected}");
}

#[test]
fn suspects_of_an_intersection_are_as_many_as_theory_says() {
    let found = |rounds: &str| {
        let report = report(&scenario("\"intersection\"", &[("rounds = 4", rounds)]), 40);
        let left = metric(&report, "candidates_left_mean").clone();
        mean_agrees(&left, left.expected.unwrap());
        left
    };
    let t = analytic("intersection-rounds", "users=100 batch=50");
    assert!(4.0 < t && t < 5.0, "{t}");
    let (before, after) = (found("rounds = 4"), found("rounds = 5"));
    // The partner and one other user, at t.
    assert!(before.value > Some(2.0) && after.value < Some(2.0), "{before:?} {after:?}");
    let q = 1.0 - 0.99f64.powi(49);
    assert!((before.expected.unwrap() - 1.0 - 99.0 * q.powi(4)).abs() < 1e-12);
}

#[test]
fn rounds_without_a_message_tell_an_intersection_nothing() {
    let change = [("rounds = 4", "rounds = 12"), ("\"100 %\"", "\"30 %\"")];
    let left = report(&scenario("\"intersection\"", &change), 40);
    let left = metric(&left, "candidates_left_mean");
    // Targets that sent nothing suspect all, and are not counted: 1 − 0.7¹² of all are.
    let q = 1.0 - 0.99f64.powi(49);
    let (all, silent) = (1.0 + 99.0 * (0.7 + 0.3 * q).powi(12), 0.7f64.powi(12));
    let expected = (all - 100.0 * silent) / (1.0 - silent);
    mean_agrees(left, expected);
    assert!((left.expected.unwrap() - expected).abs() < 1e-9, "{left:?}");
}

#[test]
fn online_sets_leave_as_many_as_theory_says_and_the_partner_alone_as_often() {
    let change =
        [("count = 100", "count = 50\npresence = \"50 %\""), ("rounds = 4", "rounds = 12")];
    let report = report(&scenario("\"presence\"", &change), 40);
    let left = analytic("presence-set", "users=50 presence=0.5 rounds=12");
    mean_agrees(metric(&report, "candidates_left_mean"), left);
    for (name, rounds) in [("identified_by_round_10", 10), ("identified_by_end", 12)] {
        let found = metric(&report, name);
        let expected = (1.0 - 0.5f64.powi(rounds)).powi(49);
        assert!((found.expected.unwrap() - expected).abs() < 1e-12);
        share_agrees(found, expected);
    }
}

#[test]
fn predecessor_knows_the_partner_as_soon_as_theory_says() {
    let t = analytic("predecessor-rounds", "nodes=20 malicious=6");
    assert!(31.0 < t && t < 32.0, "{t}");
    let share = |rounds: &str, ends: &str| {
        let kind = format!("\"predecessor\"\nnodes = 20\nmalicious = \"30 %\"\nends = \"{ends}\"");
        let report = report(&scenario(&kind, &[("rounds = 4", rounds)]), 40);
        let found = metric(&report, "identified_by_end").clone();
        share_agrees(&found, found.expected.unwrap());
        found.expected.unwrap()
    };
    let (before, after) =
        (share("rounds = 31", "independent"), share("rounds = 32", "independent"));
    assert!(before < 0.95 && 0.95 < after, "{before} {after}");
    let distinct = share("rounds = 12", "distinct");
    let expected = analytic("fresh-paths-compromise", "nodes=20 malicious=6 paths=12");
    assert!((distinct - expected).abs() < 1e-12);
}

#[test]
fn targets_who_leave_are_cut_off_and_not_dropped() {
    let kind = "\"predecessor\"\nnodes = 20\nmalicious = \"30 %\"";
    let change = [("rounds = 4", "rounds = 30"), ("sends =", "leaves = \"5 %\"\nsends =")];
    let report = report(&scenario(kind, &change), 40);
    let found = metric(&report, "identified_by_end");
    let expected = found.expected.unwrap();
    // A fifth of the targets are there to the end, which leaves at least as much as that many would tell.
    let error = (expected * (1.0 - expected) / (0.2 * found.samples as f64)).sqrt();
    assert!((found.value.unwrap() - expected).abs() < 5.0 * error, "{found:?}");
    // Counted as free to the end they would make it far less.
    let identified = report.table.rows.iter().filter(|row| row[5].is_some()).count() as f64;
    assert!(identified / (found.samples as f64) < expected - 10.0 * error);
    assert!(report.table.rows.iter().any(|row| row[2] == Some(1)));
}

#[test]
fn declared_matches_are_right_as_often_as_bayes_says() {
    let kind = "\"bayes\"\ntpr = \"90 %\"\nfpr = \"2 %\"";
    let change = [("rounds = 4", "rounds = 20"), ("\"100 %\"", "\"50 %\"\ncover = \"40 %\"")];
    let report = report(&scenario(kind, &change), 10);
    let found = metric(&report, "declared_matches_right");
    let expected = analytic("bayes-detection", "tpr=0.9 fpr=0.02 flows=50");
    assert!((found.expected.unwrap() - expected).abs() < 1e-12);
    // 0.479, one in two. The interval is that of targets, half of it 1.96 standard errors.
    let half = found.interval().map(|i| (i.high - i.low) / 2.0).unwrap();
    assert!(half < 0.02 && (found.value.unwrap() - expected).abs() < 5.0 / 1.96 * half);
}

#[test]
fn partner_whose_swarm_is_not_seen_is_not_found() {
    let kind = "\"swarms\"\nswarms = 20\nseen = \"45 %\"";
    let change = [("rounds = 4", "rounds = 300"), ("batch = 50", "batch = 10")];
    let report = report(&scenario(kind, &change), 10);
    // 45 % of the 19 others are 9, and the target's own.
    share_agrees(metric(&report, "partners_ranked_first"), 0.5);
    share_agrees(metric(&report, "identified_by_end"), 0.5);
    // The unseen half of the mailboxes, about 50 of them, all keep what they had.
    let unseen = metric(&report, "posterior_shannon_p50").value.unwrap();
    assert!(unseen < 6.5, "{unseen}");
    for row in report.table.rows.iter().filter(|row| row[5].is_none()) {
        let (above, beside) = (row[7].unwrap(), row[8].unwrap());
        assert!(above == 0 && beside > 10, "{row:?}");
    }
}

#[test]
fn receipts_tell_messages_from_dummies_and_copies_do_not() {
    let found = |cover: &str, learns_by: &str| {
        let kind =
            format!("\"swarms\"\nswarms = 20\nseen = \"100 %\"\nlearns_by = \"{learns_by}\"");
        let sends = format!("\"20 %\"\ncover = \"{cover}\"");
        let change = [("rounds = 4", "rounds = 600"), ("\"100 %\"", sends.as_str())];
        report(&scenario(&kind, &change), 4)
    };
    let median = |report: &RunReport| metric(report, "messages_to_identified_p50").value.unwrap();
    let (bare, receipts, copies) =
        (found("0 %", "copies"), found("100 %", "receipts"), found("100 %", "copies"));
    assert!(metric(&copies, "dummies").value > metric(&copies, "messages").value);
    // Dummies change nothing for who can tell them: the same targets are identified in the same rounds.
    let when = |r: &RunReport| r.table.rows.iter().map(|row| row[5]).collect::<Vec<_>>();
    assert_eq!(when(&bare), when(&receipts));
    assert!(median(&copies) > 2.0 * median(&bare), "{} {}", median(&copies), median(&bare));
}

#[test]
fn candidates_who_left_have_no_mass_and_the_others_all_of_it() {
    let change = [("rounds = 4", "rounds = 10"), ("count = 100", "count = 100\nleave = \"5 %\"")];
    for kind in ["\"statistical\"", "\"bayes\"\ntpr = \"50 %\"\nfpr = \"40 %\""] {
        let change = [change[0], change[1], ("\"100 %\"", "\"60 %\"\ncover = \"50 %\"")];
        let report = report(&scenario(kind, &change), 40);
        let left = metric(&report, "candidates_left_mean");
        mean_agrees(left, 1.0 + 99.0 * 0.95f64.powi(10));
    }
}

#[test]
fn targets_without_a_message_are_left_out_of_entropies() {
    let change = [("rounds = 4", "rounds = 10"), ("\"100 %\"", "\"5 %\"")];
    let report = report(&scenario("\"intersection\"", &change), 10);
    let silent = metric(&report, "targets_silent").value.unwrap();
    // 0.95¹⁰ of 1000.
    assert!((silent - 598.7).abs() < 5.0 * 15.5, "{silent}");
    let entropy = metric(&report, "posterior_shannon_p50");
    assert_eq!(entropy.samples as f64, 1000.0 - silent);
    // At most one round's receivers, not all 100.
    assert!(entropy.value < Some(39.0f64.log2() + 0.5), "{entropy:?}");
}

#[test]
fn results_are_the_same_on_one_two_and_eight_threads() {
    let change = [("rounds = 4", "rounds = 30"), ("targets = 100", "targets = 20")];
    let kinds = [
        "\"statistical\"",
        "\"intersection\"",
        "\"bayes\"\ntpr = \"50 %\"\nfpr = \"40 %\"",
        "\"swarms\"\nswarms = 20\nseen = \"45 %\"",
    ];
    let mut digests = Vec::new();
    for kind in kinds {
        let scenario = scenario(kind, &change);
        let on = |threads, seed| run(&scenario, &config(seed, 9, threads)).unwrap();
        let one = on(1, 5);
        assert_eq!(one, on(2, 5));
        assert_eq!(one, on(8, 5));
        assert_ne!(one.digest, on(2, 6).digest);
        digests.push(one.digest);
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), kinds.len());
}

/// Looks from where it is told to, and keeps what it is shown.
#[derive(Debug)]
struct Recorder {
    vantage: Vantage,
    candidates: u32,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Adversary for Recorder {
    fn vantage(&self) -> Vantage {
        self.vantage
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        let Observation { sent, stores, online, followed, .. } = *seen;
        let mailboxes = stores.map(|stores| stores.mailboxes);
        let declared = stores.map_or(&[][..], |stores| stores.declared);
        let line = format!("{sent:?} {mailboxes:?} {online:?} {followed:?} declared {declared:?} ");
        self.shown.lock().unwrap().push(line);
    }

    fn posterior(&self) -> Posterior {
        Posterior::uniform(self.candidates)
    }
}

fn world(change: &[(&str, &str)]) -> Disclosure {
    let Engine::Disclosure(world) = scenario("\"statistical\"", change).engine else {
        panic!("another engine")
    };
    world
}

/// What a recorder at this vantage is shown, and the figures.
fn recorded(world: &Disclosure, vantage: Vantage) -> (Vec<String>, Disclosed) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let plug_in = |briefing: &Briefing| -> Box<dyn Adversary> {
        let candidates = briefing.candidates;
        Box::new(Recorder { vantage, candidates, shown: shown.clone() })
    };
    let found = run_against(world, "recorded", &config(1, 1, 1), &plug_in).unwrap();
    let shown = shown.lock().unwrap().clone();
    (shown, found)
}

#[test]
fn adversary_without_a_vantage_is_shown_nothing_and_stays_as_unsure_as_it_was() {
    let (shown, found) = recorded(&world(&[]), Vantage::NOTHING);
    assert!(shown.is_empty());
    let of = |name| found.metric(name).and_then(|metric| metric.value);
    assert!((of("posterior_shannon_mean").unwrap() - 100f64.log2()).abs() < 1e-9);
    assert!((of("posterior_min_entropy_min").unwrap() - 100f64.log2()).abs() < 1e-9);
    assert_eq!((of("identified_by_end"), of("partner_rank_p50")), (Some(0.0), Some(50.5)));
}

/// Whether a list of what was shown is in order, so that nothing stands where it was put.
fn is_sorted(seen: &str, list: &str) -> bool {
    let list = seen.split(list).nth(1).unwrap().split(']').next().unwrap();
    let list = list.split(", ").filter(|mailbox| !mailbox.is_empty());
    list.map(|mailbox| mailbox.parse::<u32>().unwrap()).is_sorted()
}

#[test]
fn adversary_is_shown_what_its_vantage_covers_and_no_more() {
    let sends = Vantage { sends: Some(Sends::Copies), ..Vantage::NOTHING };
    let stores = Vantage { stores: Stores::All, ..Vantage::NOTHING };
    let both = Vantage { sends: Some(Sends::Copies), ..stores };
    let online = Vantage { presence: true, ..Vantage::NOTHING };
    let own = Stores::Swarms { swarms: 50, seen: Share::NONE };
    let world = world(&[("\"100 %\"", "\"50 %\"")]);
    let (shown, _) = recorded(&world, sends);
    assert_eq!(shown.len(), 400);
    assert!(shown.iter().all(|seen| {
        seen.ends_with("None None None declared [] ") && seen.starts_with("Some(")
    }));
    let (shown, _) = recorded(&world, stores);
    assert!(
        shown.iter().all(|seen| seen.starts_with("None Some([") && seen.ends_with("None None declared [] "))
    );
    // 49 or 50 messages, of which the target's stands among the others.
    assert!(shown.iter().all(|seen| is_sorted(seen, "Some([")));
    let count = |seen: &String| seen.split(" declared").next().unwrap().matches(',').count() + 1;
    assert!(shown.iter().all(|seen| (49..=50).contains(&count(seen))));
    let (shown, _) = recorded(&world, online);
    assert!(shown.iter().all(|seen| seen == "None None Some([]) None declared [] "));
    // Declared matches would tell when the target sends: nobody has them who does not see that.
    let matching = Matching { tpr: Share::from_parts(Share::WHOLE), fpr: Share::NONE };
    let (blind, _) = recorded(&world, Vantage { matching: Some(matching), ..stores });
    assert!(blind.iter().all(|seen| seen.contains("declared [] ")));
    let (told, _) = recorded(&world, Vantage { matching: Some(matching), ..both });
    assert!(
        told.iter().all(|seen| seen.starts_with("Some(true)") != seen.contains("declared [] "))
    );
    let every = Matching { fpr: matching.tpr, ..matching };
    let (told, _) = recorded(&world, Vantage { matching: Some(every), ..both });
    assert!(told.iter().all(|seen| is_sorted(seen, "declared [")));
    // A fiftieth of the mailboxes, so a fiftieth of the messages: 1 a round.
    let (shown, _) = recorded(&world, Vantage { stores: own, ..Vantage::NOTHING });
    let messages: usize = shown.iter().filter(|s| !s.contains("Some([])")).map(count).sum();
    assert!((100..1200).contains(&messages), "{messages}");
}

#[test]
fn posterior_over_other_candidates_ends_the_run() {
    let plug_in = |_: &Briefing| -> Box<dyn Adversary> {
        let shown = Arc::new(Mutex::new(Vec::new()));
        Box::new(Recorder { vantage: Vantage::NOTHING, candidates: 7, shown })
    };
    let found = run_against(&world(&[]), "wrong", &config(1, 3, 2), &plug_in);
    let source = DisclosureError::Candidates { target: 0, found: 7, candidates: 100 };
    assert_eq!(found, Err(GivenUp { replicate: 0, source }));
}

#[test]
fn example_runs() {
    example::main().unwrap();
}

#[test]
fn suspects_are_expected_only_where_nobody_leaves_and_dummies_do_not_go_out() {
    let expected = |change: &[(&str, &str)]| {
        metric(&report(&scenario("\"intersection\"", change), 1), "candidates_left_mean").expected
    };
    assert!(expected(&[]).is_some());
    let some = ("sends = \"100 %\"", "sends = \"50 %\"");
    assert!(expected(&[some]).is_some());
    for change in [
        [some, ("sends = \"50 %\"", "sends = \"50 %\"\ncover = \"20 %\"")],
        [some, ("[target]", "[target]\nleaves = \"1 %\"")],
        [some, ("count = 100", "count = 100\nleave = \"1 %\"")],
    ] {
        assert_eq!(expected(&change), None, "{change:?}");
    }
}

#[test]
fn target_is_identified_at_a_look_and_not_between_two() {
    let presence = ("count = 100", "count = 50\npresence = \"50 %\"");
    let change = [presence, ("rounds = 4", "rounds = 12"), ("kind =", "look_every = 7\nkind =")];
    let report = report(&scenario("\"presence\"", &change), 40);
    // The one look is after seven rounds; nothing more is known of the other five.
    let found = metric(&report, "identified_by_end");
    let expected = (1.0 - 0.5f64.powi(7)).powi(49);
    assert!((found.expected.unwrap() - expected).abs() < 1e-12, "{found:?}");
    share_agrees(found, expected);
}
