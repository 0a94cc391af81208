//! `mailbell on` and `mailbell consumers` as processes: commands that succeed, fail, hang and are killed, and a SIGKILL of
//! `mailbell on` itself. Each event ends handled once or parked, and that is shown.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_mailbell");
const FREE_PORTS: [&str; 12] = [
    "--mcp-addr",
    ":0",
    "--hooks-addr",
    ":0",
    "--api-addr",
    ":0",
    "--smtp-addr",
    ":0",
    "--lmtp-addr",
    ":0",
    "--console-addr",
    ":0",
];
/// Far more than any step takes, on a machine that is busy with other tests.
const COME_MAX: Duration = Duration::from_mins(2);
/// What DESIGN promises of SIGTERM.
const END_MAX: Duration = Duration::from_secs(5);

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(dir: &Path, command: &[&str], then: &[&str]) -> Self {
        let child = Command::new(BINARY)
            .args(command)
            .arg("--data-dir")
            .arg(dir)
            .args(FREE_PORTS)
            .args(then)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn serve(dir: &Path) -> Self {
        let mut house = Self::start(dir, &["serve"], &[]);
        let mut line = String::new();
        BufReader::new(house.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ready"));
        house
    }

    /// Asks it to end, and sees that it does.
    fn ends_in_order(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let asked = Instant::now();
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return assert!(status.success()),
                None => assert!(asked.elapsed() < END_MAX, "it goes on"),
            }
            std::thread::yield_now();
        }
    }
}

/// Kills with SIGKILL.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(dir: &Path, arguments: &[&str]) -> String {
    let ran = Command::new(BINARY).args(arguments).arg("--data-dir").arg(dir).output().unwrap();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Looks until there is what is looked for.
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < COME_MAX, "{what}");
        std::thread::yield_now();
    }
}

/// The consumer `on`, once there is one.
fn standing(dir: &Path) -> Option<Value> {
    let listed = run(dir, &["consumers", "list", "--json"]);
    let mut standings = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    standings.find(|standing| standing["name"] == "on")
}

fn shown(dir: &Path) -> Value {
    serde_json::from_str(&run(dir, &["consumers", "show", "on", "--json"])).unwrap()
}

fn mail(dir: &Path) {
    run(dir, &["try", "inbound"]);
}

fn read(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))
}

#[test]
fn each_event_ends_handled_once_or_parked_whatever_the_command_does() {
    let (dir, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = dir.path();
    let house = Running::serve(dir);
    for n in 1..=4 {
        mail(dir);
        until("its event", || (run(dir, &["events", "--json"]).lines().count() == n).then_some(()));
    }
    let notes = notes.path();
    let script = format!(
        r#"cd {} && echo "$MAILBELL_ATTEMPT" >> "did-$MAILBELL_SEQ" && case "$MAILBELL_SEQ" in
        1) exit 0;; 2) exit 7;; 3) echo $$ > hanging; sleep 1000;; 4) kill -9 $$;; esac"#,
        notes.display()
    );
    let on = [
        "on",
        "inbound",
        "--shell",
        "--parallel",
        "4",
        "--timeout-secs",
        "3",
        "--retry-secs",
        "0",
        "--lease-secs",
        "2",
    ];
    let attending = Running::start(dir, &on, &["--", &script]);
    let acked = || shown(dir)["open"].as_array().unwrap().iter().all(|claim| claim["seq"] != 1);
    until("the first is acked", || read(&notes.join("did-1")).filter(|_| acked()));
    let hanging: i32 = until("the one that hangs", || read(&notes.join("hanging")))[..].trim().parse().unwrap();
    drop(attending);
    let hanging = Pid::from_raw(hanging).unwrap();
    until("the command ends with what ran it", || test_kill_process(hanging).is_err().then_some(()));
    let attending = Running::start(dir, &on, &["--", &script]);
    let settled = |it: &Value| it["lag"].as_object().unwrap().is_empty() && it["parked"] == 3;
    let end = until("all are settled or parked", || standing(dir).filter(settled));
    assert_eq!((&end["leased"], &end["waiting"]), (&0.into(), &0.into()), "all counts are of one moment");
    assert_eq!(read(&notes.join("did-1")).unwrap(), "1\n", "the one that is handled ran once");
    // One try may have been leased, and not begun, when what runs the commands was killed.
    let tries: Vec<u32> = read(&notes.join("did-2")).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert!(
        tries.is_sorted_by(|a, b| a < b) && tries.len() >= 4 && tries.iter().all(|n| (1..=5).contains(n)),
        "{tries:?}"
    );

    let shown = shown(dir);
    let parked = shown["parked"].as_array().unwrap();
    assert_eq!(parked.iter().map(|claim| claim["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(parked.iter().all(|claim| claim["parked_by"] == "attempts" && claim["client"] == "sh"), "{shown}");
    let lines = run(dir, &["consumers", "show", "on"]);
    assert_eq!(lines.matches("parked after 5 attempts").count(), 3, "{lines}");

    // The operator puts one back, and the one that attends takes it at once.
    fs::write(notes.join("did-2"), "").unwrap();
    assert_eq!(run(dir, &["consumers", "requeue", "on", "2"]), "     2 re-queued\n");
    until("it is parked again", || standing(dir).filter(|it| it["parked"] == 3));
    until("it was tried again", || read(&notes.join("did-2")).filter(|did| did.lines().count() == 5));
    assert_eq!(run(dir, &["consumers", "ack", "on", "3"]), "     3 acked\n");
    assert_eq!(standing(dir).unwrap()["parked"], 2);
    drop((attending, house));
}

#[test]
fn it_keeps_the_house_where_nobody_does_and_hands_over_the_fenced_event() {
    let (dir, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (dir, note) = (dir.path(), notes.path().join("event"));
    let command = format!("cat > {}; echo done", note.display());
    let mut attending = Running::start(dir, &["on", "inbound", "--shell"], &["--", &command]);
    until("it keeps the house", || dir.join("keeper.json").exists().then_some(()));
    mail(dir);
    let event: Value = serde_json::from_str(&until("the event", || read(&note))).unwrap();
    let fence = event["fence"].as_str().unwrap();
    assert_eq!(event["subject"], format!("‹{fence}›Hello from mailbell try‹/{fence}›"));
    assert_eq!(
        (&event["event_type"], &event["attempt"], &event["consumer"]),
        (&"inbound".into(), &1.into(), &"on".into())
    );
    assert!(event["lease_token"].as_str().unwrap().starts_with("lease_"));
    assert!(event["about"].as_str().unwrap().contains("never instructions"));
    until("it is acked", || standing(dir).filter(|it| it["lag"].as_object().unwrap().is_empty()));
    assert_eq!(run(dir, &["consumers"]).matches("nothing left").count(), 1);
    attending.ends_in_order();
}

#[test]
fn a_signal_ends_it_and_a_command_that_will_not_end() {
    let (dir, notes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (dir, note) = (dir.path(), notes.path().join("stubborn"));
    let _house = Running::serve(dir);
    mail(dir);
    let command = format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", note.display());
    let mut attending = Running::start(dir, &["on", "inbound", "--shell"], &["--", &command]);
    let stubborn: i32 = until("the command", || read(&note))[..].trim().parse().unwrap();
    let open = shown(dir)["open"][0].clone();
    assert_eq!((&open["leased"], &open["attempt"], &open["client"]), (&true.into(), &1.into(), &"sh".into()), "{open}");
    attending.ends_in_order();
    assert!(test_kill_process(Pid::from_raw(stubborn).unwrap()).is_err());
    assert_eq!(shown(dir)["open"][0]["leased"], false, "its event was given back");
}

#[test]
fn a_program_that_is_not_there_is_told_of_and_costs_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let _house = Running::serve(dir);
    mail(dir);
    let ran = Command::new(BINARY)
        .args(["on", "inbound", "--data-dir"])
        .arg(dir)
        .args(["--", "/no/such/program"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(1) && told.contains("could not start `/no/such/program`"), "{told}");
    let open = shown(dir)["open"][0].clone();
    assert_eq!((&open["leased"], &open["attempt"]), (&false.into(), &0.into()));
    let missing = Command::new(BINARY).args(["consumers", "show", "off", "--data-dir"]).arg(dir).output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no consumer \"off\"; there are on"));
}
