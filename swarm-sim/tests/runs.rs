//! What a run's folder keeps of the scenario, and what is said of other settings before the run's time is spent.
#![allow(clippy::unwrap_used)]

mod program;

use program::{built_in, contents, done, read, refused, small, write};

/// What is seen before a run is seen at once: these would take hours.
const LONG: &str = "count = 400000";

#[test]
fn folder_keeps_the_scenario_from_which_it_can_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "base.toml", &small());
    write(at, "more.toml", "include = \"base.toml\"\n[churn]\nlife = \"9 d\"\n");
    done(at, "run more.toml --out a");
    // All in one file, that needs no other.
    std::fs::remove_file(at.join("base.toml")).unwrap();
    done(at, "run a/scenario.toml --out b");
    let (mut a, mut b) = (contents(&at.join("a")), contents(&at.join("b")));
    for files in [&mut a, &mut b] {
        files.remove("manifest.json").unwrap();
    }
    assert!(a == b && a.contains_key("scenario.toml"));
    assert!(read(at, "a/scenario.toml").contains("life = \"9 d\""));
    // It is held against its digest as all else is.
    let text = read(at, "a/scenario.toml") + "# more\n";
    write(at, "a/scenario.toml", &text);
    refused(at, "report a --overwrite", "a/scenario.toml was changed since it was written");
}

#[test]
fn other_settings_are_named_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = small();
    write(at, "s.toml", &text);
    done(at, "run s.toml --out a");
    let before = contents(&at.join("a"));
    assert!(text.contains("count = 30"), "{text}");
    write(at, "s.toml", &text.replacen("count = 30", LONG, 1));
    let part = "a holds results of guards with clients.count = 30, not 400000: give another --out, or --overwrite";
    refused(at, "run s.toml --out a", part);
    write(at, "s.toml", &(text.replacen("count = 30", LONG, 1) + "# of one mind\n"));
    refused(at, "run s.toml --out a", part);
    // The same settings in other words: `about`, or a comment.
    write(at, "s.toml", &(text.clone() + "# of another mind\n"));
    let part = "a holds results of guards with another text in scenario.toml: give another --out";
    refused(at, "run s.toml --out a", part);
    assert!(before == contents(&at.join("a")));
    done(at, "run s.toml --out a --overwrite");
    assert!(read(at, "a/scenario.toml").ends_with("# of another mind\n"));
}

#[test]
fn replicates_on_the_command_line_that_would_not_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // 8760 requests of each client: 3504000000 draws a replicate.
    let text = built_in("guards").replacen("count = 500", LONG, 1);
    write(at, "s.toml", &text);
    let sentence =
        ", --replicates: expected at most 2853 with these settings: about 3504000000 draws each";
    for line in ["run s.toml", "sweep s.toml", "verify-determinism s.toml --seed 1"] {
        refused(at, &format!("{line} --replicates 2854"), sentence);
    }
    assert_eq!(program::names(at), ["s.toml"]);
}

#[test]
fn median_without_an_upper_end_says_so_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Of 40 targets, 52 in 100 are known at the end: the band reaches one half from one side only.
    let scenario = |rounds: u32| {
        format!(
            r#"
            version = 1
            engine = "disclosure"
            name = "open"
            about = "targets that are known after a while"
            replicates = 1
            targets = 40
            rounds = {rounds}
            users = {{ count = 10 }}
            target = {{ partners = 1, sends = "100 %" }}
            traffic = {{ batch = 2 }}
            adversary = {{ kind = "predecessor", nodes = 10, malicious = "10 %", ends = "independent" }}"#
        )
    };
    let name = "rounds_to_identified_p50";
    let shown = |rounds: u32, out: &str| {
        write(at, "s.toml", &scenario(rounds));
        let text = done(at, &format!("run s.toml --out {out}"));
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let row = read(at, &format!("{out}/metrics.csv"));
        let row = row.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        (line.strip_prefix(name).unwrap().trim().to_owned(), row)
    };
    let (line, row) = shown(70, "reached");
    let low = row.split(',').nth(2).unwrap();
    assert!(row.contains(&format!(",{low},,kaplan-meier,client,")), "{row}");
    assert!(line.ends_with(&format!(" rounds  [{low}, no upper end] over clients")), "{line}");
    let page = read(at, "reached/report.html");
    assert!(page.contains(&format!(">{low} without an upper end<")));
    let (line, row) = shown(50, "unreached");
    assert!(
        row.starts_with(&format!("{name},,")) && row.contains(",,kaplan-meier,client,"),
        "{row}"
    );
    assert!(line.starts_with("not reached  ["), "{line}");
    assert!(read(at, "unreached/report.html").contains(">not reached<"));
    let (line, row) = shown(3, "early");
    assert!(line == "not reached  [3, no upper end] over clients", "{line}");
    assert!(row.contains(",,3,,kaplan-meier,client,"), "{row}");
}
