//! Every number of a scenario file at both ends of what is allowed: the last that is taken, and the first that is not.
#![allow(clippy::unwrap_used)]

use swarm_sim::adversary::{Draw, Sends};
use swarm_sim::scenario::{BUILT_IN, Engine, Kind, Maps, Scenario, Selection};

/// The built-in file `name` with parts replaced, read.
fn read(name: &str, change: &[(&str, &str)]) -> Result<Scenario, String> {
    let mut text = BUILT_IN.iter().find(|b| b.name == name).unwrap().text.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse("x.toml", &text).map_err(|error| error.to_string())
}

/// Whole numbers: the file, what is replaced, by what, and what is allowed for the key.
const COUNTS: [(&str, &str, &str, &str, i64, i64); 49] = [
    ("onion", "replicates = 8", "replicates = {}", "replicates", 1, 10_000),
    ("onion", "nodes = 60", "nodes = {}", "network.nodes", 4, 10_000),
    ("onion", "nodes = 60", "nodes = 60\nsubnets = {}", "network.subnets", 1, 65_536),
    ("onion", "nodes = 60", "nodes = 60\nfamilies = {}", "network.families", 1, 10_000),
    ("onion", "count = 20", "count = {}", "clients.count", 1, 1_000_000),
    ("onion", "contacts = 3", "contacts = {}", "clients.contacts", 1, 1000),
    ("onion", "requests = 10", "requests = {}", "clients.requests", 1, 1_000_000),
    ("onion", "tries = 4", "tries = {}", "clients.tries", 1, 100),
    ("churn", "replicates = 8", "replicates = {}", "replicates", 1, 10_000),
    ("churn", "ready_after = 2", "ready_after = {}", "swarms.ready_after", 1, 1_000_000),
    ("churn", "cuckoo_k = 0", "cuckoo_k = {}", "swarms.cuckoo_k", 0, 255),
    ("churn", "times = 150", "times = {}", "steps.times", 1, 1_000_000),
    ("churn", "join = 1", "join = {}", "steps.join", 0, 10_000),
    ("churn", "leave = 1", "leave = {}", "steps.leave", 0, 10_000),
    ("churn", "empty = 1", "empty = {}", "steps.empty", 0, 10_000),
    ("paths", "replicates = 8", "replicates = {}", "replicates", 1, 10_000),
    ("paths", "nodes = 100", "nodes = {}", "network.nodes", 4, 10_000),
    ("paths", "nodes = 100", "nodes = 100\nsubnets = {}", "network.subnets", 1, 65_536),
    ("paths", "families = 60", "families = {}", "network.families", 1, 10_000),
    ("paths", "count = 40", "count = {}", "clients.count", 1, 1_000_000),
    ("paths", "contacts = 4", "contacts = {}", "clients.contacts", 1, 1000),
    ("guards", "guards = 2", "guards = {}", "paths.guards", 1, 20),
    ("swarm-size", "replicates = 8", "replicates = {}", "replicates", 1, 10_000),
    ("swarm-size", "samples = 2000", "samples = {}", "samples", 1, 1_000_000),
    ("swarm-size", "nodes = 2520", "nodes = {}", "network.nodes", 4, 10_000),
    ("swarm-size", "size = 7", "size = {}", "swarms.size", 1, 1000),
    ("swarm-rules", "subnets = 400", "subnets = {}", "network.subnets", 1, 65_536),
    ("swarm-rules", "families = 80", "families = {}", "network.families", 1, 10_000),
    ("swarm-rules", "start = 40", "start = {}", "history.start", 4, 10_000),
    ("swarm-rules", "join = 4", "join = {}", "history.join", 1, 10_000),
    ("swarm-rules", "documents = 150", "documents = {}", "history.documents", 0, 1_000_000),
    ("swarm-rules", "turnover = 2", "turnover = {}", "history.turnover", 0, 10_000),
    ("swarm-size", "share = \"10 %\"", "count = {}", "adversary.count", 0, 10_000),
    ("swarm-size", "share = \"30 %\"", "count = {}", "burst.count", 0, 10_000),
    ("disclosure", "replicates = 8", "replicates = {}", "replicates", 1, 10_000),
    ("disclosure", "targets = 40", "targets = {}", "targets", 1, 1_000_000),
    ("disclosure", "rounds = 2000", "rounds = {}", "rounds", 1, 1_000_000),
    ("disclosure", "count = 1000", "count = {}", "users.count", 2, 1_000_000),
    ("disclosure", "partners = 3", "partners = {}", "target.partners", 1, 20),
    ("disclosure", "batch = 100", "batch = {}", "traffic.batch", 2, 1_000_000),
    ("disclosure", "look_every = 10", "look_every = {}", "adversary.look_every", 1, 1_000_000),
    ("disclosure", "swarms = 30", "swarms = {}", "adversary.swarms", 2, 10_000),
    ("disclosure", "swarms = 30", "nodes = {}", "adversary.nodes", 4, 10_000),
    ("mixes", "replicates = 20", "replicates = {}", "replicates", 1, 10_000),
    ("mixes", "messages = 5000", "messages = {}", "messages", 1, 1_000_000),
    ("mixes", "hops = 1 ", "hops = {} ", "mix.hops", 1, 20),
    ("mixes", "hops = 1 ", "n = {} ", "mix.n", 1, 10_000),
    ("mixes", "hops = 1 ", "in = {} ", "mix.in", 1, 10_000),
    ("mixes", "hops = 1 ", "kept = {} ", "mix.kept", 0, 10_000),
];

#[test]
fn whole_numbers_are_taken_up_to_their_ends_and_not_beyond() {
    let mut wrong = Vec::new();
    for (name, from, to, key, low, high) in COUNTS {
        let said = |value: i64| read(name, &[(from, &to.replace("{}", &value.to_string()))]).err();
        for value in [low - 1, high + 1] {
            let why = format!("{key}: expected a whole number from {low} to {high}, found {value}");
            let error = said(value).unwrap_or_default();
            if !(error.starts_with("x.toml, line ") && error.ends_with(&why)) {
                wrong.push(format!("{name}, {key} = {value}: {error}"));
            }
        }
        // Another rule may refuse it, but not this one.
        for value in [low, high] {
            if let Some(error) = said(value).filter(|error| error.contains("whole number")) {
                wrong.push(format!("{name}, {key} = {value}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The file is taken with the first changes, and refused for this key once the last is made too.
#[track_caller]
fn edge(name: &str, fits: &[(&str, &str)], beyond: (&str, &str), key: &str, why: &str) {
    assert_eq!(read(name, fits).err(), None, "{fits:?}");
    let error = read(name, &[fits, &[beyond]].concat()).err().unwrap_or_default();
    let is_there = error.starts_with("x.toml, line ") && error.contains(&format!(", {key}: "));
    assert!(is_there && error.contains(why), "{beyond:?}: {error:?}");
}

const DAY: u64 = 86_400_000;

#[test]
fn sizes_and_names_are_taken_up_to_their_ends_and_not_beyond() {
    let name = |length: usize| format!("name = \"{}\"", "a".repeat(length));
    let (longest, longer) = (name(64), name(65));
    edge("onion", &[("name = \"onion\"", &longest)], (&longest, &longer), "name", "up to 64");
    // The sentences say what is allowed.
    let error = read("onion", &[("\"1 KiB\"", "\"0 B\"")]).unwrap_err();
    let mut numbers = error.split("expected ").nth(1).unwrap().split([' ', ',']);
    let mut next = || numbers.find_map(|word| word.parse::<u64>().ok()).unwrap();
    let (least, most) = (next(), next());
    assert!(least > 1 && most > 100_000, "{error}");
    let request = |bytes: u64| format!("request = \"{bytes} B\"");
    for (fits, beyond) in [(least, least - 1), (most, most + 1)] {
        let (fits, beyond) = (request(fits), request(beyond));
        let fits = [("request = \"1 KiB\"", fits.as_str())];
        edge("onion", &fits, (fits[0].1, &beyond), "clients.request", "which a packet carries");
    }
    let error = read("onion", &[("\"600 B\"", "\"0 B\"")]).unwrap_err();
    let least = error.split("expected ").nth(1).unwrap().split(' ').next().unwrap();
    let least: u64 = least.parse().unwrap();
    let reply = |bytes: u64| format!("reply = \"{bytes} B\"");
    for (fits, beyond) in [(least, least - 1), (1 << 20, (1 << 20) + 1)] {
        let (fits, beyond) = (reply(fits), reply(beyond));
        let fits = [("reply = \"600 B\"", fits.as_str())];
        edge("onion", &fits, (fits[0].1, &beyond), "clients.reply", "1 MiB");
    }
}

#[test]
fn steps_of_a_history_are_counted_with_the_nodes_of_its_start() {
    // 40 at the start, 990 000 that go again, 9660 and 300 later.
    let first = "times = 99\njoin = 10000\nleave = 10000\n[[steps]]\ntimes = 1\nleave = 10000\n[[steps]]\ntimes = 9660\njoin = 1\nleave = 1";
    let fits = [("times = 150\njoin = 1", first)];
    edge("churn", &fits, ("= 9660", "= 9661"), "[[steps]]", "at most 1000000 nodes");
    let text = BUILT_IN.iter().find(|b| b.name == "churn").unwrap().text;
    let start = &text[..text.find("[[steps]]").unwrap()];
    let none = start.replacen("replicates = 8", "replicates = 8\nsteps = []", 1);
    let error = Scenario::parse("x.toml", &none).unwrap_err().to_string();
    assert!(error.contains(", steps: expected steps"), "{error}");
    let plain = read("churn", &[("ready_after = 2", "")]).unwrap();
    assert!(matches!(plain.engine, Engine::Churn(churn) if churn.ready_after == 1));
}

#[test]
fn histories_and_requests_that_just_end_are_taken() {
    let text = BUILT_IN.iter().find(|b| b.name == "churn").unwrap().text;
    let history = |steps: &str| {
        let start = text[..text.find("[[steps]]").unwrap()].replacen("= 40", "= 1000", 1);
        Scenario::parse("x.toml", &(start + steps)).map_err(|error| error.to_string())
    };
    let why = "[[steps]]: expected documents x nodes to be at most 100000000";
    // A thousand nodes through 100 000 documents.
    assert_eq!(history("[[steps]]\ntimes = 100000\n").err(), None);
    assert!(history("[[steps]]\ntimes = 100001\n").unwrap_err().contains(why));
    // Half as many documents of 2000, once that many have joined, and of a thousand again, once as many have left.
    let growth = "[[steps]]\ntimes = 1\njoin = 1000\n[[steps]]\ntimes =";
    assert_eq!(history(&format!("{growth} 49999\n")).err(), None);
    assert!(history(&format!("{growth} 50000\n")).unwrap_err().contains(why));
    let back = format!("{growth} 1\nleave = 1000\n[[steps]]\ntimes =");
    assert_eq!(history(&format!("{back} 99996\n")).err(), None);
    assert!(history(&format!("{back} 99997\n")).unwrap_err().contains(why));
    // N documents up to 1000 + N nodes.
    assert_eq!(history("[[steps]]\ntimes = 9512\njoin = 1\n").err(), None);
    assert!(history("[[steps]]\ntimes = 9513\njoin = 1\n").unwrap_err().contains(why));
    // Who joins last is there, though more were to leave than are: two documents of 1000, the others of 100.
    let few = "[[steps]]\ntimes = 2\njoin = 100\nleave = 1000\n[[steps]]\ntimes =";
    assert_eq!(history(&format!("{few} 999980\n")).err(), None);
    assert!(history(&format!("{few} 999981\n")).unwrap_err().contains(why));
    let most = [("requests = 10\n", "requests = 500000\n")];
    let more = ("requests = 500000", "requests = 500001");
    edge("onion", &most, more, "clients.requests", "count x requests to be at most 10000000");
}

#[test]
fn runs_of_the_paths_engine_that_just_end_are_taken() {
    let start = [("join_within = \"60 d\"", "join_within = \"0 ms\"")];
    let fits = |more: &[(&'static str, &'static str)]| [&start[..], more].concat();
    // A hundred million requests of each of a thousand clients.
    let most = [("365 d", "100000 s"), ("\"12 h\"", "\"1 ms\""), ("count = 40", "count = 1000")];
    let more = ("count = 1000", "count = 1001");
    edge("paths", &fits(&most), more, "clients.every", "100000000000 requests");
    // 250 000 turns of each of 400 nodes in 365 days.
    let churn = "[churn]\nup = \"63.072 s\"\ndown = \"63.072 s\"\n\n[paths]";
    let shorter = ("down = \"63.072 s\"", "down = \"63.071 s\"");
    edge("guards", &[("[paths]", churn)], shorter, "churn.up", "(up + down) x nodes");
    let churn = "[churn]\nlife = \"9 d\"\ndocument = \"126.144 s\"\n\n[paths]";
    let shorter = ("126.144 s", "126.143 s");
    edge("guards", &[("[paths]", churn)], shorter, "churn.document", "document x nodes");
    let churn = "[churn]\nlife = \"3153.6 s\"\n\n[paths]";
    edge("guards", &[("[paths]", churn)], ("3153.6 s", "3153.599 s"), "churn.life", "a 10000th");
    let hourly = read("guards", &[("[paths]", churn)]).unwrap();
    let Engine::Paths(hourly) = hourly.engine else { panic!("{hourly:?}") };
    assert_eq!(hourly.churn.map(|churn| churn.document), Some(3_600_000));
    edge(
        "guards",
        &[("\"1 h\"", "\"10 min\"")],
        ("10 min", "599.999 s"),
        "clients.every",
        "10 min",
    );
    edge("guards", &[("= 400", "= 56")], ("= 56", "= 55"), "network.nodes", "56 nodes or more");
    edge("guards", &[], ("= 400", "= 400\nsubnets = 9"), "network.subnets", "neither families nor");
}

#[test]
fn lives_of_guards_and_middles_that_a_run_can_end_with_are_taken() {
    let sampler = |change: &[(&str, &str)]| match read("guards", change).unwrap().engine {
        Engine::Paths(paths) => match paths.selection {
            Selection::Sampler(sampler) => sampler,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let (least, most) = ("guard_life_min = \"60 d\"", "guard_life_max = \"120 d\"");
    let alone = sampler(&[(least, "guard_life_min = \"130 d\""), (most, "")]);
    assert_eq!(alone.guard_life, (130 * DAY, 130 * DAY));
    let mean = [(least, "guard_life = \"90 d\""), (most, "")];
    assert_eq!(sampler(&mean).guard_life, (60 * DAY, 120 * DAY));
    let why = "leave it or them out";
    edge(
        "guards",
        &mean,
        ("\"90 d\"", "\"90 d\"\nguard_life_min = \"9 d\""),
        "paths.guard_life",
        why,
    );
    edge(
        "guards",
        &mean,
        ("\"90 d\"", "\"90 d\"\nguard_life_max = \"99 d\""),
        "paths.guard_life",
        why,
    );
    // 200 000 lives for each of 500 clients in 365 days: the mean is 157.68 s, or half of that for both ends.
    let both = [("\"7 d\"", "\"78.84 s\""), ("\"14 d\"", "\"78.84 s\"")];
    let why = "span / life x clients";
    edge("guards", &both, ("\"78.84 s\"", "\"78.83 s\""), "paths.middle_life_min", why);
    let short = [(least, "guard_life = \"78.84 s\""), (most, "")];
    edge("guards", &short, ("\"78.84 s\"", "\"78.83 s\""), "paths.guard_life", why);
}

#[test]
fn every_setting_of_the_sampler_is_refused_elsewhere() {
    for selection in ["machine", "deployed"] {
        let selection = format!("selection = \"{selection}\"");
        let weights = ("weights =", "# weights =");
        for setting in [
            "guards = 2",
            "guard_life = \"90 d\"",
            "guard_life_min = \"60 d\"",
            "guard_life_max = \"120 d\"",
            "second_layer = \"pairs\"",
            "middle_life_min = \"7 d\"",
            "middle_life_max = \"14 d\"",
        ] {
            let more = format!("{selection}\n{setting}");
            let fits = [weights, ("selection = \"machine\"", selection.as_str())];
            edge("paths", &fits, (&selection, &more), "paths.selection", "to change them");
        }
    }
}

#[test]
fn deployed_clients_have_nine_nodes_and_start_daily_unless_set() {
    let start = [
        ("weights =", "# weights ="),
        ("selection = \"machine\"", "selection = \"deployed\""),
        ("join_within = \"60 d\"", "join_within = \"0 ms\""),
    ];
    let Engine::Paths(daily) = read("paths", &start).unwrap().engine else { panic!() };
    assert_eq!(daily.selection, Selection::Deployed { restart: DAY });
    let nine = [&start[..], &[("nodes = 100", "nodes = 9")]].concat();
    edge("paths", &nine, ("nodes = 9", "nodes = 8"), "network.nodes", "more than 8 nodes");
    // 2 500 000 starts of each of 40 clients.
    let restart = ("\"deployed\"", "\"deployed\"\nrestart = \"100 ms\"");
    let often = [&start[..], &[("365 d", "250000 s"), restart]].concat();
    edge("paths", &often, ("100 ms", "99 ms"), "paths.restart", "span / restart x clients");
}

#[test]
fn disclosure_that_just_ends_is_taken_and_unset_keys_mean_what_is_said() {
    let name = "disclosure";
    // 40 targets, and for each a million rounds: 100 messages of 20 ns, 1000 users of 4 ns who may leave and 100 ns more; and
    // 100 000 looks at 1000 users of 50 ns, who take 50 ns to be made.
    let long = [("rounds = 2000", "rounds = 1000000"), ("leaves = \"0.01 %\"", "leaves = \"0 %\"")];
    let most = [&long[..], &[("replicates = 8", "replicates = 450")]].concat();
    let why = "at most 450 with these settings: about 22200100000 draws each (targets x rounds";
    edge(name, &most, ("= 450", "= 451"), "replicates", why);
    // Users who stay are not gone through round by round.
    let stay = [("leave = \"0.005 %\"", "leave = \"0 %\""), ("replicates = 8", "replicates = 704")];
    let stay = [&long[..], &stay].concat();
    edge(name, &stay, ("= 704", "= 705"), "replicates", "at most 704 with these settings");
    // One partner takes 20 ns at looks.
    let one = [("partners = 3", "partners = 1"), ("replicates = 8", "replicates = 617")];
    let one = [&long[..], &one].concat();
    edge(name, &one, ("= 617", "= 618"), "replicates", "at most 617 with these settings");
    // Targets that leave are watched for 10 000 rounds in the mean.
    let leaving = [
        long[0],
        ("batch = 100", "batch = 1000"),
        ("targets = 40", "targets = 687167"),
        ("replicates = 8", "replicates = 1"),
    ];
    edge(name, &leaving, ("= 687167", "= 687168"), "replicates", "a replicate alone has about");
    let last = [("look_every = 10", "look_every = 2000")];
    edge(name, &last, ("= 2000 ", "= 1999 "), "adversary.look_every", "as many as rounds");
    let all = |change: &[(&str, &str)]| match read(name, change).unwrap().engine {
        Engine::Disclosure(disclosure) => disclosure,
        other => panic!("{other:?}"),
    };
    let plain = all(&[("sure =", "# sure ="), ("learns_by =", "# learns_by =")]);
    assert_eq!(plain.sure.parts(), 950_000_000);
    assert!(matches!(plain.adversary, Kind::Swarms { sends: Sends::Copies, .. }));
    let text = BUILT_IN.iter().find(|b| b.name == name).unwrap().text;
    let at = text.find("[adversary]").unwrap();
    let other = |kind: &str, partners: u32, more: &str| {
        let text = format!("{}[adversary]\nkind = \"{kind}\"\n{more}\n", &text[..at]);
        let text = text.replacen("partners = 3", &format!("partners = {partners}"), 1);
        let presence = if kind == "presence" { "\npresence = \"5 %\"" } else { "" };
        let text = text.replacen("count = 1000", &format!("count = 1000{presence}"), 1);
        Scenario::parse("x.toml", &text).map_err(|error| error.to_string())
    };
    let ends = other("predecessor", 3, "nodes = 9\nmalicious = \"30 %\"").unwrap().engine;
    let Engine::Disclosure(ends) = ends else { panic!() };
    assert!(matches!(ends.adversary, Kind::Predecessor(ends) if ends.draw == Draw::Distinct));
    assert_eq!(other("bayes", 1, "tpr = \"0 %\"\nfpr = \"1 %\"").err(), None);
    for kind in ["intersection", "presence"] {
        assert_eq!(other(kind, 1, "").err(), None);
        assert!(other(kind, 2, "").unwrap_err().contains("looks for one partner"), "{kind}");
        for key in [
            "background = \"uniform\"",
            "swarms = 9",
            "seen = \"9 %\"",
            "learns_by = \"copies\"",
            "nodes = 9",
            "malicious = \"9 %\"",
            "ends = \"distinct\"",
            "tpr = \"9 %\"",
            "fpr = \"9 %\"",
        ] {
            let error = other(kind, 1, key).unwrap_err();
            let (name, _) = key.split_once(' ').unwrap();
            assert!(error.contains(&format!(", adversary.{name}: only the kind ")), "{error}");
        }
    }
}

#[test]
fn users_whom_an_adversary_goes_through_are_counted_round_by_round() {
    let text = BUILT_IN.iter().find(|b| b.name == "disclosure").unwrap().text;
    let text = &text[..text.find("[adversary]").unwrap()];
    let mut text = text.replacen("rounds = 2000", "rounds = 1000000", 1);
    for (from, to) in [("partners = 3", "partners = 1"), ("leaves = \"0.01 %\"", "")] {
        text = text.replacen(from, to, 1);
    }
    // 100 messages take 2000 ns, the round 100, 1000 users who may leave 4000; one round in five has a message. Made and
    // looked at once, users of all 40 targets take 140 000 draws.
    let flows = "tpr = \"90 %\"\nfpr = \"1 %\"";
    for (kind, users, more, most) in [
        // 0.2 ns of 1000 users: 6300 ns a round, 12 600 140 000 draws.
        ("intersection", "", "", 793),
        // 1 ns.
        ("intersection", "cover", "", 704),
        // 6.2 ns.
        ("presence", "presence", "", 406),
        // 1.6 ns.
        ("bayes", "", flows, 649),
        // 15 ns.
        ("bayes", "cover", flows, 236),
        // None.
        ("statistical", "", "", 819),
        ("predecessor", "", "nodes = 9\nmalicious = \"30 %\"", 819),
    ] {
        let text = match users {
            "presence" => text.replacen("count = 1000", "count = 1000\npresence = \"5 %\"", 1),
            "cover" => text.replacen("cover = \"0 %\"", "cover = \"100 %\"", 1),
            _ => text.clone(),
        };
        let read = |replicates: u32| {
            let text = text.replacen("= 8", &format!("= {replicates}"), 1);
            let text =
                format!("{text}[adversary]\nkind = \"{kind}\"\nlook_every = 1000000\n{more}\n");
            Scenario::parse("x.toml", &text).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(read(most), Ok(()), "{kind} {users}");
        let error = read(most + 1).unwrap_err();
        assert!(error.contains(&format!("at most {most} with these settings")), "{error}");
        assert!(error.contains("rounds x users who come and go or are gone through"), "{error}");
    }
}

#[test]
fn mixes_that_just_end_are_taken() {
    let name = "mixes";
    // An arrival each microsecond.
    let fast = [("\"50 ms\"", "\"1 ms\""), ("rho = 5", "rho = 1000"), ("\"3 s\"", "\"1 s\"")];
    edge(name, &fast, ("\"1 ms\"", "\"0.999 ms\""), "arrivals.rho", "a million arrivals a second");
    let short = [("\"50 ms\"", "\"1 us\""), ("rho = 5", "rho = 1"), ("\"3 s\"", "\"1 s\"")];
    edge(name, &short, ("\"1 us\"", "\"0.999 us\""), "mix.mean_delay", "from \"1 us\"");
    let long = [("\"50 ms\"", "\"1 d\"")];
    edge(name, &long, ("\"1 d\"", "\"1.00001 d\""), "mix.mean_delay", "to \"1 d\"");
    let why = "from 0.001 to 1000 per mean delay";
    edge(name, &[("= 5 ", "= 0.001 ")], ("= 0.001 ", "= 0.00099 "), "arrivals.rho", why);
    edge(name, &[("= 5 ", "= 1000 ")], ("= 1000 ", "= 1000.1 "), "arrivals.rho", why);
    let slow = [("rho = 5", "per_second = 0.02")];
    edge(name, &slow, ("= 0.02", "= 0.0199"), "arrivals.per_second", why);
    // Weighed are 46 or 52 mean delays of a thousand arrivals each.
    let departure = [("\"departures\"", "\"departure\""), ("rho = 5", "rho = 1000")];
    let weighed = [&departure[..], &[("= 5000", "= 217391")]].concat();
    edge(name, &weighed, ("= 217391", "= 217392"), "messages", "what is remembered");
    let two = [("= 5000", "= 192307"), ("hops = 1 ", "hops = 2 ")];
    let weighed = [&departure[..], &two].concat();
    edge(name, &weighed, ("= 192307", "= 192308"), "messages", "what is remembered");
}

#[test]
fn replicates_of_mixes_that_just_end_are_taken() {
    let (name, why) = ("mixes", "(arrivals x hops, warm-up included, and messages x arrivals");
    // 99 900 000 arrivals before those that count, and 21 events of 130 ns of each; each message that counts takes 160 ns, and
    // 17 for each of 160 x 5 arrivals.
    let warm = [
        ("\"3 s\"", "\"999000 s\""),
        ("hops = 1 ", "hops = 20 "),
        ("\"departures\"", "\"departure\""),
        ("replicates = 20", "replicates = 733"),
    ];
    edge(name, &warm, ("= 733", "= 734"), "replicates", why);
    // 1 060 000 arrivals, two events each, and a million messages.
    let busy = [("rho = 5 ", "rho = 1000 "), ("= 5000", "= 1000000")];
    let all = |view: &'static str, replicates: &'static str| {
        let more = [("\"departures\"", view), ("replicates = 20", replicates)];
        [&busy[..], &more].concat()
    };
    // 2 ns for each of 40 000 arrivals.
    let times = all("\"times\"", "replicates = 2486");
    edge(name, &times, ("= 2486", "= 2487"), "replicates", why);
    // Nothing for those inside, who are as likely as each other.
    assert_eq!(read(name, &all("\"departures\"", "replicates = 10000")).err(), None);
    // 5 ns for each of 46 000 arrivals, and a fifth of the messages.
    let departure = [
        ("rho = 5 ", "rho = 1000 "),
        ("= 5000", "= 200000"),
        ("\"departures\"", "\"departure\""),
        ("replicates = 20", "replicates = 4338"),
    ];
    edge(name, &departure, ("= 4338", "= 4339"), "replicates", why);
}

#[test]
fn maps_of_swarms_that_just_end_are_taken() {
    let (size, rules) = ("swarm-size", "swarm-rules");
    edge(size, &[("= 2520", "= 7")], ("= 7 ", "= 6 "), "swarms.size", "no more than network.nodes");
    edge(
        rules,
        &[("start = 40", "start = 200")],
        ("= 200\njoin", "= 201\njoin"),
        "history.start",
        "no more than",
    );
    let (often, one) = (("= 150", "= 500000"), ("turnover = 2", "turnover = 1"));
    let more = ("= 500000", "= 500001");
    edge(rules, &[often, one], more, "history.turnover", "documents x nodes");
    let all = [("= 150", "= 4999"), ("turnover = 2", "turnover = 200")];
    edge(rules, &all, ("= 4999", "= 5000"), "history.turnover", "1000000 nodes");
    edge(rules, &all, ("turnover = 200", "turnover = 201"), "history.turnover", "no more than");
    let every = [("share = \"10 %\"", "count = 2520")];
    edge(size, &every, ("count = 2520 ", "count = 2521 "), "adversary.count", "no more than");
    // 160 join: 22 times seven, and six.
    let Engine::Swarms(grown) = read(rules, &[("join = 4", "join = 7")]).unwrap().engine else {
        panic!()
    };
    let Maps::Grown(history) = grown.maps else { panic!() };
    let joined: Vec<_> = history.steps.iter().map(|steps| (steps.times, steps.join)).collect();
    assert_eq!(joined, [(22, 7), (1, 6), (150, 2)]);
}

#[test]
fn replicates_of_histories_that_just_end_are_taken() {
    let why = "draws each (documents x nodes, more with many";
    let history = |name: &str, steps: &str, replicates: u32| {
        let text = BUILT_IN.iter().find(|b| b.name == name).unwrap().text;
        let start = text[..text.find("[[steps]]").unwrap()].replacen("= 40", "= 1000", 1);
        let start = start.replacen("= 8", &format!("= {replicates}"), 1);
        Scenario::parse("x.toml", &(start + "[[steps]]\n" + steps)).map_err(|e| e.to_string())
    };
    let moved = "times = 90000\njoin = 10\nleave = 10\n";
    // More leave than are, but who joins last is there: two documents of 1000, the others of 100.
    let few = "times = 2\njoin = 100\nleave = 1000\n[[steps]]\ntimes = 900000\n";
    for (name, steps, most) in [
        // A thousand nodes: 2500 ns each, and 2 for each that is there beside it.
        ("churn", "times = 100000\n", 444),
        // 5 ns more for each of ten that come and ten that go.
        ("churn", moved, 483),
        ("churn", few, 823),
        // 1500 ns.
        ("churn-deployed", "times = 100000\n", 1333),
        // 1 ns more for each.
        ("churn-deployed", moved, 1461),
    ] {
        assert_eq!(history(name, steps, most).err(), None, "{name} {steps}");
        let error = history(name, steps, most + 1).unwrap_err();
        assert!(error.contains(&format!("at most {most} with")) && error.contains(why), "{error}");
    }
    // 200 nodes, which take 1000 ns, 0.2 for each other and 5 for each of two; or 500 and 1. And 2000 samples of 80 nodes.
    let often =
        [("start = 40", "start = 200"), ("= 150", "= 500000"), ("turnover = 2", "turnover = 1")];
    for (rules, most, beyond) in [
        ("\"ours\"", "replicates = 1904", "replicates = 1905"),
        ("\"deployed\"", "replicates = 3984", "replicates = 3985"),
    ] {
        let more = [("\"ours\"", rules), ("replicates = 16", most)];
        edge("swarm-rules", &[&often[..], &more].concat(), (most, beyond), "replicates", why);
    }
    // 20 000 nodes of 4 ns, and two draws.
    let marked = [
        ("nodes = 2520", "nodes = 10000"),
        ("share = \"10 %\"", "share = \"100 %\""),
        ("share = \"30 %\"", "share = \"100 %\""),
        ("samples = 2000", "samples = 1000000"),
        ("replicates = 8", "replicates = 2498"),
    ];
    edge("swarm-size", &marked, ("= 2498", "= 2499"), "replicates", why);
}
