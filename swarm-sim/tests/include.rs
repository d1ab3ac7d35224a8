//! Scenarios that include others, and new ones.
#![allow(clippy::unwrap_used)]

mod program;

use swarm_sim::scenario::{BUILT_IN, Scenario};
use swarm_sim::sweep::Sweep;

use program::{built_in, said, write};

#[test]
fn what_a_file_does_not_say_comes_from_the_one_that_it_includes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "lib/base.toml", "include = \"guard-life\"\n[network]\nnodes = 90\n");
    let file = write(
        folder,
        "mine.toml",
        "include = \"lib/base.toml\"\nname = \"mine\"\n[adversary]\nshare = \"7 %\"\n\n[sweep]\n\"paths.guards\" = [1, 2]\n",
    );
    // The same as one text.
    let base = built_in("guard-life");
    let one = [
        ("name = \"guard-life\"", "name = \"mine\""),
        ("nodes = 400", "nodes = 90"),
        ("share = \"5 %\"", "share = \"7 %\""),
        ("[sweep]\n", "[sweep]\n\"paths.guards\" = [1, 2]\n"),
    ];
    let one = one.iter().fold(base.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    assert_eq!(Scenario::load(&file).unwrap(), Scenario::parse("one.toml", &one).unwrap());
    let (swept, plain) = (Sweep::load(&file).unwrap(), Sweep::parse("one.toml", &one).unwrap());
    assert_eq!((swept.points, swept.axes), (plain.points, plain.axes));
    // The text of a sweep stands alone.
    assert_eq!(Sweep::parse("alone.toml", &swept.text).unwrap().base, swept.base);
}

#[test]
fn errors_name_the_file_in_which_the_key_stands() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |base: &str, mine: &str, start: &str, part: &str| {
        write(folder, "base.toml", base);
        let file = write(folder, "mine.toml", mine);
        let error = Scenario::load(&file).unwrap_err().to_string();
        let start = format!("{}/{start}", folder.display());
        assert!(error.starts_with(&start) && error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    let quickstart = built_in("quickstart");
    let line = |part: &str| {
        let line = quickstart.lines().position(|line| line.starts_with(part)).unwrap();
        format!("base.toml, line {}, ", line + 1)
    };
    let mine = "# mine\ninclude = \"base.toml\"\n";
    let changed = |from: &str, to: &str| quickstart.replacen(from, to, 1);
    refused(&changed("nodes = 300", "nodes = 3"), mine, &line("nodes"), "network.nodes");
    let over = format!("{mine}[network]\nnodes = 3\n");
    refused(quickstart, &over, "mine.toml, line 4, network.nodes", "from 4 to 10000");
    let odd = format!("{mine}[network]\nodd = 3\n");
    refused(quickstart, &odd, "mine.toml, line 4, network.odd", "unknown field");
    refused(&changed("nodes = 300", ""), mine, &line("[network]"), "missing field `nodes`");
    refused("version = 1\n[", mine, "base.toml, line 2", "");
    let (here, two) = ("mine.toml, line 2, include", "include = 2\n");
    refused("include = \"mine.toml\"\n", mine, "base.toml, line 1, include", "includes itself");
    refused("", "# mine\ninclude = \"none.toml\"\n", here, "cannot read");
    refused("", "# mine\ninclude = \"garlic\"\n", here, "no scenario is called");
    refused(two, mine, "base.toml, line 1, include", "expected the name of a file");
    let endless = format!("{}\n", "#".repeat(2 << 20));
    refused(&endless, mine, here, "more than 1048576 bytes");
}

#[test]
fn new_scenario_runs_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, out, error) = said(folder, "new mine-2.toml --from churn");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "mine-2.toml is churn under another name; run it with: swarm-sim run mine-2.toml\n"
    );
    let file = folder.join("mine-2.toml").display().to_string();
    assert_eq!(Scenario::load(&file).unwrap().name, "mine-2");
    for built_in in BUILT_IN {
        let name = format!("copy-{}", built_in.name);
        let (code, ..) = said(folder, &format!("new {name}.toml --from {}", built_in.name));
        assert_eq!(code, Some(0));
        let file = folder.join(format!("{name}.toml")).display().to_string();
        assert_eq!(Scenario::load(&file).unwrap().name, name);
    }
    let before = std::fs::read_to_string(&file).unwrap();
    for (line, part) in [
        ("new mine-2.toml", "mine-2.toml exists"),
        ("new Mine.toml", "lower-case"),
        ("new mine", "a file such as mine.toml"),
        ("new ok.toml --from garlic", "no scenario is called garlic"),
    ] {
        let (code, out, error) = said(folder, line);
        assert_eq!((code, out.as_str(), error.lines().count()), (Some(2), "", 1), "{error}");
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert!(!folder.join("ok.toml").exists());
    let (code, _, error) = said(folder, "new none/x.toml");
    assert!(code == Some(1) && error.contains("cannot write to none/x.toml"), "{error}");
}

#[test]
fn eight_files_include_each_other_and_no_more_and_none_is_longer_than_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The last of nine is a built-in scenario.
    let mut last = write(folder, "0.toml", "include = \"quickstart\"\nname = \"mine\"\n");
    for at in 1..=7 {
        last = write(folder, &format!("{at}.toml"), &format!("include = \"{}.toml\"\n", at - 1));
    }
    assert_eq!(Scenario::load(&last).unwrap().name, "mine");
    last = write(folder, "8.toml", "include = \"7.toml\"\n");
    let error = Scenario::load(&last).unwrap_err().to_string();
    let start = format!("{}/0.toml, line 1, include: ", folder.display());
    assert!(error.starts_with(&start) && error.contains("more than 8 files"), "{error}");
    let text = BUILT_IN.iter().find(|b| b.name == "quickstart").unwrap().text;
    let filled = |size: usize| format!("{text}#{}", "#".repeat(size - text.len() - 1));
    let fits = write(folder, "fits.toml", &filled(1 << 20));
    assert!(Scenario::load(&fits).is_ok());
    let longer = write(folder, "longer.toml", &filled((1 << 20) + 1));
    let error = Scenario::load(&longer).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}

#[test]
fn key_of_a_table_on_one_line_is_found_by_that_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mine = "# mine\ninclude = \"quickstart\"\nnetwork = { nodes = 3 }\n";
    let file = write(folder, "mine.toml", mine);
    let error = Scenario::load(&file).unwrap_err().to_string();
    let start = format!("{file}, line 3, network.nodes: ");
    assert!(error.starts_with(&start) && error.contains("from 4 to 10000"), "{error}");
}

#[test]
fn file_that_includes_none_is_told_the_very_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = BUILT_IN.iter().find(|b| b.name == "churn").unwrap().text;
    let changed = text.replacen("times = 300", "times = 0", 1);
    let file = write(folder.path(), "mine.toml", &changed);
    // The second of the tables of that name.
    let line = changed[..changed.find("times = 0").unwrap()].matches('\n').count() + 1;
    let error = Scenario::load(&file).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{file}, line {line}, steps.times: ")), "{error}");
}

#[test]
fn key_in_one_of_several_tables_of_a_name_is_found_in_that_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let steps = "[[steps]]\ntimes = 5\njoin = 1\n\n[[steps]]\njoin = 1\ntimes = 0\n";
    let file = write(folder, "mine.toml", &format!("include = \"churn\"\n\n{steps}"));
    let error = Scenario::load(&file).unwrap_err().to_string();
    assert!(error.contains("mine.toml, line 9, steps.times"), "{error}");
}
