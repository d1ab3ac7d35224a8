//! Every number of a scenario file at both ends of what is allowed: the last that is taken, and the first that is not.
#![allow(clippy::unwrap_used)]

mod bounds;

use swarm_sim::scenario::{BUILT_IN, Engine, Scenario, Selection};

use bounds::{edge, read};

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
    // The path machine takes longer than the other rules for as many.
    let start = [
        ("weights =", "# weights ="),
        ("selection = \"machine\"", "selection = \"deployed\""),
        ("join_within = \"60 d\"", "join_within = \"0 ms\""),
    ];
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
