//! Scenario files that must be refused, with the line and the key.
#![allow(clippy::unwrap_used)]

mod program;

use swarm_sim::scenario::{BUILT_IN, Scenario};

use program::built_in;

/// The built-in file `name` with `from` replaced, and what is said about it.
fn refusal(name: &str, from: &str, to: &str) -> String {
    let text = built_in(name);
    assert!(text.contains(from), "{name} has no {from:?}");
    let changed = text.replacen(from, to, 1);
    let error = Scenario::parse("x.toml", &changed).map(|_| ()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "more than one line: {error}");
    error
}

/// The line of `name`'s file on which `part` stands first.
fn line(name: &str, part: &str) -> usize {
    let text = built_in(name);
    text.split(part).next().unwrap().matches('\n').count() + 1
}

#[track_caller]
fn refused(name: &str, from: &str, to: &str, key: &str, why: &str) {
    let error = refusal(name, from, to);
    let start = format!("x.toml, line {}, {key}: ", line(name, from));
    assert!(error.starts_with(&start), "expected {start:?} in front of: {error}");
    assert!(error.contains(why), "expected {why:?} in: {error}");
}

#[test]
fn unknown_key_is_refused_with_line_and_key() {
    refused("onion", "loss =", "lost =", "links.lost", "unknown field `lost`");
    refused("onion", "contacts =", "friends =", "clients.friends", "unknown field `friends`");
    refused("churn", "families =", "family =", "network.family", "unknown field `family`");
    refused("churn", "drop =", "fall =", "steps.fall", "unknown field `fall`");
}

#[test]
fn wrong_unit_is_refused_with_line_and_key() {
    refused("onion", "\"8 s\"", "\"8 %\"", "clients.timeout", "such as \"50 ms\"");
    refused("onion", "\"8 s\"", "8", "clients.timeout", "expected a time");
    refused("onion", "\"8 s\"", "\"8\"", "clients.timeout", "found \"8\"");
    refused("onion", "\"1 KiB\"", "\"1 KB\"", "clients.request", "such as \"400 B\"");
    refused("onion", "\"0.5 %\"", "\"5 ms\"", "links.loss", "a share from");
    refused("onion", "\"45 ms\"", "\"45\"", "links.latency", "found \"45\"");
    refused("churn", "\"10 min\"", "\"10 m\"", "swarms.epoch", "found \"10 m\"");
}

#[test]
fn impossible_value_is_refused_with_line_and_key() {
    refused("onion", "\"20 %\"", "\"101 %\"", "network.malicious", "from \"0 %\" to \"100 %\"");
    refused("onion", "nodes = 60", "nodes = 3", "network.nodes", "from 4 to 10000");
    refused("onion", "nodes = 60", "nodes = -1", "network.nodes", "found -1");
    refused("onion", "tries = 4", "tries = 0", "clients.tries", "from 1 to 100");
    refused("onion", "\"1 KiB\"", "\"1 MiB\"", "clients.request", "which a packet carries");
    refused("onion", "\"1 KiB\"", "\"8 B\"", "clients.request", "which a packet carries");
    refused("onion", "\"1500 ms\"", "\"2 s\"", "links.give_up", "less than a quarter");
    refused("onion", ", shape = 3", "", "links.latency", "needs a shape");
    refused("onion", "shape = 3", "shape = 0", "links.latency", "from 0.1 to 1000");
    refused("onion", "\"2 h\"", "\"0 s\"", "failures.up", "above zero");
    refused("churn", "times = 300", "times = 2000000", "steps.times", "from 1 to 1000000");
    refused("churn", "name = \"churn\"", "name = \"Chur n\"", "name", "lower-case");
    refused("churn", "version = 1", "version = 2", "version", "reads version 1");
}

#[test]
fn key_that_another_rules_out_is_refused_on_its_own_line() {
    let error = refusal("churn", "\"stated\"", "\"at once\"");
    let start = format!("x.toml, line {}, swarms.ready_after: ", line("churn", "ready_after"));
    assert!(error.starts_with(&start) && error.contains("ready at once"), "{error}");
}

#[test]
fn deployed_rules_refuse_settings_of_the_protocols() {
    for (from, to) in [
        ("readiness = \"at once\"", "readiness = \"stated\""),
        ("epoch =", "cuckoo_k = 2\nepoch ="),
        ("epoch =", "lost_after = \"24 h\"\nepoch ="),
        ("epoch =", "ready_within = \"1 h\"\nepoch ="),
    ] {
        let error = refusal("churn-deployed", from, to);
        let start = format!("x.toml, line {}, swarms.rules: ", line("churn-deployed", "rules ="));
        assert!(error.starts_with(&start) && error.contains("at once"), "{to}: {error}");
    }
    refused("churn-deployed", "\"deployed\"", "\"other\"", "swarms.rules", "unknown variant");
}

#[test]
fn settings_that_the_path_machine_or_the_sampler_lacks_are_refused_on_their_line() {
    let paths = "paths";
    refused_on(
        paths,
        "selection = \"machine\"",
        "guards = 3\nselection = \"machine\"",
        "selection =",
        "to change them",
    );
    refused(paths, "families = 60", "families = 0", "network.families", "from 1 to 10000");
    refused_on(paths, "\"machine\"", "\"sampler\"", "families =", "neither families nor prefixes");
    refused(paths, "\"60 d\"", "\"365 d\"", "clients.join_within", "less than span");
    refused(paths, ", shape = 1.5", "", "network.weights", "need a shape");
    refused(
        "guards",
        "nodes = 400",
        "nodes = 55",
        "network.nodes",
        "56 nodes or more for 2 guards",
    );
    refused("guards", "\"1 h\"", "\"9 min\"", "clients.every", "10 min");
    refused("guards", "\"1 h\"", "\"9 ns\"", "clients.every", "at least 1 ms");
    refused(paths, "\"12 h\"", "\"1 ms\"", "clients.every", "at most 100000000000 requests");
    refused("guards", "\"60 d\"", "\"121 d\"", "paths.guard_life_min", "not above the longest");
    refused(
        "guards",
        "second_layer = \"pairs\"",
        "second_layer = \"vanguards\"",
        "paths.second_layer",
        "unknown variant",
    );
    refused_on("guards", "\"10 %\"", "\"10 %\"\nbudget = 3", "budget", "unknown field");
}

#[test]
fn settings_of_another_selection_are_refused() {
    let guards = "selection = \"sampler\"";
    let (restart, life) = ("restart = \"1 d\"", "guard_life = \"9 d\"");
    let with = |more: &str| format!("{guards}\n{more}");
    refused_on("guards", guards, &with(restart), "restart", "only clients of");
    refused_on("guards", guards, &with(life), "guard_life", "leave it or them out");
    refused_on("paths", "\"machine\"", &format!("\"machine\"\n{life}"), "selection", "sampler");
    refused_on("guards", guards, "selection = \"deployed\"", "selection", "without a set life");
    let deployed = |more: &str| format!("\"deployed\"\n{more}");
    let once = deployed("restart = \"1 ms\"");
    let text = built_in("paths");
    let text = text.replacen("weights =", "# weights =", 1).replacen("\"machine\"", &once, 1);
    let error = Scenario::parse("x.toml", &text).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("paths.restart: ") && error.contains("x clients"), "{error}");
    refused_on("paths", "\"machine\"", "\"deployed\"", "weights =", "draw all nodes equally often");
    let short = "middle_life_min = \"1 ms\"\nmiddle_life_max = \"1 ms\"";
    let layer = "middle_life_min = \"7 d\"\nmiddle_life_max = \"14 d\"";
    refused_on("guards", layer, short, "middle_life_min", "span / life x clients");
    for owns in ["weight", "prefixes"] {
        let owns = format!("\"{owns}\"");
        let change = format!("{owns} # was nodes");
        refused_on("quickstart", "\"nodes\"              # or", &change, "[churn]", "or no churn");
    }
    refused("paths", "nodes = 100", "nodes = 3", "network.nodes", "4 to 10000");
}

#[test]
fn nodes_that_come_and_go_need_times_that_a_run_can_end_with() {
    for (churn, key, why) in [
        ("", "churn", "expected `life`, or `up` and `down`"),
        ("up = \"1 d\"", "churn.up", "need each other"),
        ("life = \"1 min\"", "churn.life", "a 10000th of span"),
        ("life = \"9 d\"\ndocument = \"1 s\"", "churn.document", "document x nodes"),
        ("up = \"1 s\"\ndown = \"1 s\"", "churn.up", "(up + down) x nodes"),
        ("life = \"9\"", "churn.life", "such as"),
        ("life = \"9 d\"\nadversary = \"goes\"", "churn.adversary", "unknown variant"),
        ("mean = \"9 d\"", "churn.mean", "unknown field"),
    ] {
        let table = format!("[churn]\n{churn}\n\n[paths]");
        let error = refusal("guards", "[paths]", &table);
        assert!(error.starts_with("x.toml, line ") && error.contains(why), "{error}");
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn impossible_maps_of_swarms_are_refused_with_line_and_key() {
    let (size, rules) = ("swarm-size", "swarm-rules");
    refused(size, "size = 7\n", "size = 0\n", "swarms.size", "from 1 to 1000");
    refused(size, "size = 7\n", "size = \"7\"\n", "swarms.size", "whole number");
    refused(size, "nodes = 2520", "nodes = 3", "network.nodes", "from 4 to 10000");
    refused_on(size, "nodes = 2520", "nodes = 6", "size = 7", "no more than network.nodes");
    refused_on(size, "size = 7\n", "", "rules =", "fixed swarms need a size");
    refused_on(size, "\"fixed\"", "\"ours\"", "size = 7", "choose sizes themselves");
    refused(size, "\"fixed\"", "\"other\"", "swarms.rules", "unknown variant `other`");
    refused_on(size, "nodes = 2520", "nodes = 2520\nfamilies = 3", "families", "know no history");
    refused_on(size, "nodes = 2520", "nodes = 2520\nsubnets = 3", "subnets", "know no history");
    refused_on(rules, "\"ours\"", "\"fixed\"\nsize = 5", "[history]", "know no history");
    refused(size, "samples = 2000", "samples = 0", "samples", "from 1 to 1000000");
    refused(size, "share = \"10 %\"", "share = \"10\"", "adversary.share", "a share from");
    refused(size, "share = \"10 %\"", "count = 2521", "adversary.count", "no more than");
    refused_on(size, "[adversary]", "[adversary]\ncount = 3", "count = 3", "not both");
    refused_on(size, "share = \"30 %\"", "", "[burst]", "expected share or count");
    refused(rules, "start = 40", "start = 201", "history.start", "no more than network.nodes");
    refused_on(rules, "join = 4 ", "", "start = 40", "needs join");
    refused_on(rules, "start = 40", "", "join = 4", "needs start");
    refused_on(rules, "turnover = 2", "", "documents =", "documents need a turnover");
    refused_on(rules, "documents = 150", "", "turnover =", "a turnover needs documents");
    refused(rules, "turnover = 2", "turnover = 201", "history.turnover", "no more than");
    refused_on(rules, "documents = 150", "documents = 499990", "turnover =", "1000000 nodes");
    refused_on(rules, "documents = 150", "documents = 600000", "turnover =", "documents x nodes");
    refused(rules, "turnover =", "turn =", "history.turn", "unknown field `turn`");
}

#[test]
fn settings_that_an_adversary_lacks_are_refused_on_their_line() {
    let name = "disclosure";
    refused(name, "kind = \"swarms\"", "kind = \"global\"", "adversary.kind", "unknown variant");
    refused_on(name, "\"swarms\"", "\"statistical\"", "swarms =", "only the kind swarms has");
    refused_on(name, "\"swarms\"", "\"statistical\"\ntpr = \"1 %\"", "swarms =", "leave it out");
    refused_on(name, "sure =", "tpr = \"9 %\"\nsure =", "tpr =", "only the kind bayes has");
    refused_on(name, "sure =", "nodes = 9\nsure =", "nodes =", "only the kind predecessor has");
    refused_on(name, "seen = \"100 %\"", "", "kind =", "needs adversary.swarms and adversary.seen");
    refused(name, "sure =", "certain =", "adversary.certain", "unknown field `certain`");
    refused(name, "\"95 %\"", "\"0 %\"", "adversary.sure", "above \"0 %\"");
    refused(
        name,
        "look_every = 10",
        "look_every = 2001",
        "adversary.look_every",
        "as many as rounds",
    );
    refused(name, "\"copies\" ", "\"rumours\" ", "adversary.learns_by", "unknown variant");
    refused(name, "partners = 3", "partners = 21", "target.partners", "from 1 to 20");
    refused(name, "\"20 %\"", "\"0 %\"", "target.sends", "never sends");
    refused_on(name, "\"20 %\"", "\"100 %\"", "cover =", "leave this key out or lower sends");
    refused(name, "count = 1000", "count = 1", "users.count", "from 2 to 1000000");
    refused_on(name, "count = 1000", "count = 3", "partners =", "fewer partners than users.count");
    refused(name, "leave =", "presence = \"5 %\"\nleave =", "users.presence", "leave this key out");
    refused(name, "batch = 100", "batch = 1", "traffic.batch", "from 2 to 1000000");
    refused(name, "rounds = 2000", "rounds = 0", "rounds", "from 1 to 1000000");
}

/// The built-in file with another adversary and parts replaced, and what is said about it.
#[track_caller]
fn adversary_refused(adversary: &str, change: &[(&str, &str)], blamed: &str, why: &str) {
    let text = built_in("disclosure");
    let text = text.split("[adversary]").next().unwrap().replace("partners = 3", "partners = 1");
    let mut text = format!("{text}[adversary]\n{adversary}\n");
    for (from, to) in change {
        assert!(text.contains(from), "no {from:?}");
        text = text.replacen(from, to, 1);
    }
    let line = text[..text.find(blamed).unwrap()].matches('\n').count() + 1;
    let error = Scenario::parse("x.toml", &text).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("x.toml, line {line}, ")) && error.contains(why), "{error}");
}

#[test]
fn adversary_without_what_it_needs_is_refused() {
    let path = "kind = \"predecessor\"";
    adversary_refused(path, &[], "kind =", "needs adversary.nodes and adversary.malicious");
    let bayes = "kind = \"bayes\"\ntpr = \"9 %\"\nfpr = \"1 %\"";
    let no_fpr = [("fpr = \"1 %\"", "")];
    adversary_refused(bayes, &no_fpr, "kind =", "needs adversary.tpr and adversary.fpr");
    let two = [("partners = 1", "partners = 2")];
    adversary_refused(bayes, &two, "partners =", "looks for one partner");
    let never = [("\"9 %\"", "\"0 %\""), ("\"1 %\"", "\"0 %\"")];
    adversary_refused(bayes, &never, "tpr =", "nothing is ever declared");
    adversary_refused("kind = \"presence\"", &[], "kind =", "needs users.presence");
    let estimated = "kind = \"statistical\"\nbackground = \"estimated\"";
    let always = [("sends = \"20 %\"", "sends = \"100 %\""), ("cover =", "# cover =")];
    adversary_refused(estimated, &always, "background =", "expected \"uniform\"");
}

#[test]
fn mixes_that_cannot_be_are_refused_on_their_line() {
    let mixes = "mixes";
    refused(mixes, "hops =", "hop =", "mix.hop", "unknown field `hop`");
    refused(mixes, "\"50 ms\"", "\"50 %\"", "mix.mean_delay", "such as \"50 ms\"");
    refused(mixes, "\"50 ms\"", "50", "mix.mean_delay", "expected a time");
    refused(mixes, "\"50 ms\"", "\"0 ms\"", "mix.mean_delay", "above zero");
    refused(mixes, "\"50 ms\"", "\"2 d\"", "mix.mean_delay", "from \"1 us\" to \"1 d\"");
    refused(mixes, "\"50 ms\"", "\"9 ns\"", "mix.mean_delay", "from \"1 us\" to \"1 d\"");
    refused(mixes, "\"3 s\"", "3", "warm_up", "expected a time");
    refused(mixes, "hops = 1", "hops = 0", "mix.hops", "from 1 to 20");
    refused(mixes, "messages = 5000", "messages = 0", "messages", "from 1 to 1000000");
    refused(mixes, "\"poisson\"", "\"timed\"", "mix.kind", "unknown variant");
    refused(mixes, "\"departures\"", "\"arrivals\"", "mix.view", "unknown variant");
    for rho in ["0", "-1", "1e7", "\"5\""] {
        let why = "a number from 0.000001 to 1000000";
        refused(mixes, "rho = 5", &format!("rho = {rho}"), "arrivals.rho", why);
    }
    // Five arrivals in a microsecond; a hundred a second for ten years.
    let most = "expected at most 100 million arrivals and a hundred years";
    refused_on(mixes, "\"50 ms\"", "\"1 us\"", "rho = 5", "at most a million arrivals a second");
    refused(mixes, "\"3 s\"", "\"3650 d\"", "warm_up", most);
    refused(mixes, "rho = 5", "rho = 1001", "arrivals.rho", "from 0.001 to 1000 per mean delay");
    refused(mixes, "rho = 5", "per_second = 30000", "arrivals.per_second", "from 0.001 to 1000");
}

#[test]
fn settings_of_mixes_that_do_not_go_together_are_refused_on_their_line() {
    let mixes = "mixes";
    let blame = |from: &str, to: &str, blamed: &str, why: &str| {
        refused_on(mixes, from, to, blamed, why);
    };
    // A cascade, and who sees all departures: said by whichever key is there.
    let text = built_in(mixes);
    let both = &text[text.find("hops =").unwrap()..text.find("[arrivals]").unwrap()];
    for view in ["departures", "times"] {
        let to = format!("hops = 2\nview = \"{view}\"\n");
        blame(both, &to, "view =", "needs view = \"departure\"");
    }
    blame(both, "hops = 2\n", "hops =", "needs view = \"departure\"");
    for (kind, keys) in [("threshold", "n"), ("pool", "in, kept")] {
        let why = format!("a {kind} mix has no mean_delay, but {keys}");
        blame("\"poisson\"", &format!("\"{kind}\""), "mean_delay =", &why);
    }
    blame(
        "view = \"departures\"",
        "n = 3 #",
        "n = 3",
        "a Poisson mix has no n, but mean_delay, hops, view",
    );
    blame("view = \"departures\"", "kept = 3 #", "kept =", "a Poisson mix has no kept");
    blame("mean_delay =", "#", "kind =", "a Poisson mix needs mean_delay");
    blame("rho = 5", "rho = 5\nper_second = 100 #", "per_second = 100", "leave one of them out");
    blame("rho = 5", "#", "[arrivals]", "expected rho or per_second");
    let slow = "mean_delay = \"1 d\"\n[arrivals]\nrho = 0.001\n[sweep] #";
    let tail = &text[text.find("mean_delay =").unwrap()..text.find("[sweep]").unwrap()];
    blame(tail, slow, "messages =", "at most 100 million arrivals and a hundred years");
}

/// As `refused`, where another line than the changed one is to blame.
fn refused_on(name: &str, from: &str, to: &str, blamed: &str, why: &str) {
    let error = refusal(name, from, to);
    let text = built_in(name).replacen(from, to, 1);
    let line = text[..text.find(blamed).unwrap()].matches('\n').count() + 1;
    assert!(error.starts_with(&format!("x.toml, line {line}, ")) && error.contains(why), "{error}");
}

#[test]
fn history_of_too_many_nodes_is_refused_at_the_first_of_its_steps() {
    let error = refusal("churn", "times = 300\njoin = 1", "times = 900000\njoin = 9");
    let start = format!("x.toml, line {}, [[steps]]", line("churn", "[[steps]]"));
    assert!(error.starts_with(&start) && error.contains("at most 1000000 nodes"), "{error}");
}

#[test]
fn missing_key_and_text_that_is_no_toml_are_refused() {
    let error = refusal("onion", "tries = 4", "");
    assert!(error.contains("[clients]: missing field `tries`"), "{error}");
    let error = refusal("onion", "nodes = 60", "nodes = = 60");
    let start = format!("x.toml, line {}, network.nodes: ", line("onion", "nodes = 60"));
    assert!(error.starts_with(&start), "{error}");
    let error = refusal("onion", "engine = \"onion\"", "engine = \"garlic\"");
    assert!(error.contains("line 4, engine: unknown variant `garlic`"), "{error}");
}

#[test]
fn unknown_name_is_answered_with_those_that_exist() {
    let names: Vec<&str> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
    assert!(names.is_sorted() && names.contains(&"quickstart"));
    let error = Scenario::load("garlic").map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("no scenario is called garlic: give a file, or one of {}", names.join(", "))
    );
    let error = Scenario::load("nowhere/garlic.toml").map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read nowhere/garlic.toml: "), "{error}");
}

#[test]
fn scenario_that_would_not_end_is_refused_with_what_is_allowed() {
    let refused = |name: &str, change: &[(&str, &str)], why: &str| {
        let changed = change.iter().fold(built_in(name).to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{name}: {from}");
            text.replacen(from, to, 1)
        });
        let found = Scenario::parse("x.toml", &changed);
        let error = found.map(|_| ()).unwrap_err().to_string();
        let start = format!("x.toml, line {}, replicates: ", line(name, "replicates ="));
        assert!(error.starts_with(&start) && error.contains(why), "{error}");
    };
    // 1 000 000 samples, each with 10 000 malicious nodes and 3000 in a burst, at a fifth of a draw, and two draws more.
    let swarms = [
        ("nodes = 2520", "nodes = 10000"),
        ("share = \"10 %\"", "share = \"100 %\""),
        ("samples = 2000", "samples = 1000000"),
        ("replicates = 8", "replicates = 10000"),
    ];
    let why = "expected at most 3843 with these settings: about 2602000000 draws each";
    refused("swarm-size", &swarms, why);
    // 365 d at one request an hour are 8760 for each of 500 000 clients: 4.38e9, of which 2283 fit.
    let paths = [("count = 500", "count = 500000"), ("replicates = 8", "replicates = 2284")];
    refused(
        "guards",
        &paths,
        "expected at most 2283 with these settings: about 4380000000 draws each",
    );
    let fits = built_in("guards").replacen("count = 500", "count = 500000", 1);
    assert!(
        Scenario::parse("x.toml", &fits.replacen("replicates = 8", "replicates = 2283", 1)).is_ok()
    );
}
