//! How much a scenario may have to do: the disclosure, mixes and swarms engines.
#![allow(clippy::unwrap_used)]

mod bounds;

use swarm_sim::adversary::{Draw, Sends};
use swarm_sim::scenario::{BUILT_IN, Engine, Kind, Maps, Scenario};

use bounds::{edge, read};

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

#[test]
fn documents_failures_and_the_path_machine_count_as_requests_do() {
    let paths = |network: &str, clients: &str, more: &str, replicates: u32| {
        let text = format!(
            r#"
            version = 1
            engine = "paths"
            name = "work"
            about = "clients and nodes that come and go"
            replicates = {replicates}
            span = "3650 d"
            adversary = {{ owns = "nodes", share = "10 %" }}
            network = {{ {network} }}
            clients = {{ contacts = 1, {clients} }}
            {more}"#
        );
        Scenario::parse("x.toml", &text).map(drop).map_err(|error| error.to_string())
    };
    // 8760 documents of 10 000 nodes, at 21 microseconds each: 108 replicates end in two days.
    let churn = |replicates| {
        let more = "paths = { selection = \"sampler\" }\nchurn = { life = \"365 d\", document = \"10 h\" }";
        paths("nodes = 10000", "count = 1, every = \"3650 d\"", more, replicates)
    };
    assert_eq!(churn(108), Ok(()));
    let error = churn(109).unwrap_err();
    assert!(error.contains("replicates: expected at most 108 with these settings"), "{error}");
    // 5 256 requests of each of 190 000 clients, by the machine as many draws as 350 by the sampler.
    let by = |selection: &str, replicates| {
        let more = format!("paths = {{ selection = \"{selection}\" }}");
        paths("nodes = 300", "count = 190000, every = \"1000 min\"", &more, replicates)
    };
    assert_eq!((by("sampler", 10_000), by("machine", 28)), (Ok(()), Ok(())));
    assert!(by("machine", 29).unwrap_err().contains("expected at most 28 with these settings"));
    // Nodes that fail each millisecond of ten years.
    let failures = [("up = \"2 h\"", "up = \"1 ms\""), ("down = \"3 min\"", "down = \"1 ms\"")];
    let text = BUILT_IN.iter().find(|b| b.name == "onion").unwrap().text;
    assert!(failures.iter().all(|(from, _)| text.contains(from)), "{text}");
    let seldom = [&failures[..], &[("every = \"2 min\"", "every = \"3650 d\"")]].concat();
    assert!(read("onion", &seldom).unwrap_err().contains("nodes x requests x every / (up + down)"));
    assert!(read("onion", &failures).is_ok());
}
