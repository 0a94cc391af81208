//! The house as a process: what it asks of the operating system, and how it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

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
/// What DESIGN promises of SIGTERM.
const END_MAX: Duration = Duration::from_secs(5);
/// Far more than an event takes, on a machine that is busy with other tests.
const COME_MAX: Duration = Duration::from_mins(1);

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    /// Starts `command` with few file descriptors and files open to all, as a careless shell would.
    fn start(command: &[&str], dir: &Path) -> Self {
        Self::start_among(command, dir, &[])
    }

    /// The same, with these variables in its environment.
    fn start_among(command: &[&str], dir: &Path, environment: &[(&str, String)]) -> Self {
        let child = Command::new("sh")
            .args(["-c", r#"ulimit -Sn 256; umask 000; exec "$0" "$@""#, BINARY, "--log", "error"])
            .args(command)
            .arg("--data-dir")
            .arg(dir)
            .args(FREE_PORTS)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }

    /// How it ended; it must within [`END_MAX`].
    fn ended(&mut self) -> ExitStatus {
        let asked = Instant::now();
        loop {
            match self.0.try_wait().unwrap() {
                Some(status) => return status,
                None => assert!(asked.elapsed() < END_MAX, "it goes on"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn open_to_others(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // What SQLite and a starting house rename or remove under our feet is looked at when it stays.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(path.display().to_string());
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

/// Sends a mail to the house in `dir` and sees its event come.
fn an_event_comes(dir: &Path, environment: &[(&str, String)]) {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        let ran =
            command.args(arguments).arg("--data-dir").arg(dir).envs(environment.iter().cloned()).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    run(&["try", "inbound"]);
    let sent = Instant::now();
    while run(&["events"]).is_empty() {
        assert!(sent.elapsed() < COME_MAX, "the event does not come");
    }
}

#[test]
fn what_it_keeps_is_its_owner_s_alone_and_it_takes_the_descriptors_it_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = Running::start(&["serve"], dir.path());
    assert!(house.first_line().starts_with(r#"{"ready":true,"mcp":"#));
    assert!(dir.path().join("mail.db").exists());
    assert_eq!(open_to_others(dir.path()), [""; 0]);
    if let Ok(limits) = fs::read_to_string(format!("/proc/{}/limits", house.0.id())) {
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let [soft, hard, _] = files.split_whitespace().skip(3).collect::<Vec<_>>()[..] else { panic!("{files}") };
        assert_eq!(soft, hard);
    }
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("notify.sock");
    let manager = UnixDatagram::bind(&at).unwrap();
    manager.set_read_timeout(Some(COME_MAX)).unwrap();
    let told = || {
        let mut state = [0; 64];
        let length = manager.recv(&mut state).unwrap();
        String::from_utf8_lossy(&state[..length]).trim().to_owned()
    };
    let environment = [("NOTIFY_SOCKET", at.display().to_string())];
    let mut house = Running::start_among(&["serve"], &dir.path().join("data"), &environment);
    assert_eq!(told(), "READY=1");
    assert!(house.first_line().contains("ready"));
    house.terminate();
    assert_eq!(told(), "STOPPING=1");
    assert!(house.ended().success());
}

#[test]
fn a_server_on_stdin_ends_by_a_signal_while_its_client_keeps_stdin_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running::start(&["mcp"], dir.path());
    let mut stdin = server.0.stdin.take().unwrap();
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "a test", "version": "1" },
    } });
    writeln!(stdin, "{hello}").unwrap();
    assert!(server.first_line().contains("serverInfo"));
    server.terminate();
    assert!(server.ended().success());
    drop(stdin);
}

#[test]
fn a_server_that_starts_beside_a_command_keeps_the_house_when_the_command_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Running::start(&["mailbox", "list"], dir.path());
    let mut server = Running::start(&["serve"], dir.path());
    assert!(command.first_line().starts_with("agent@mailbell.test"));
    assert!(server.first_line().contains(r#""ready":true"#));
    assert!(command.ended().success());
}

#[test]
fn events_still_come_when_the_log_is_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = Running::start(&["serve"], dir.path());
    assert!(house.first_line().contains("ready"));
    house.terminate();
    assert!(house.ended().success());
    for file in ["bell.db", "bell.db-wal", "bell.db-shm"] {
        let _ = fs::remove_file(dir.path().join(file));
    }
    let mut house = Running::start(&["serve"], dir.path());
    assert!(house.first_line().contains("ready"));
    an_event_comes(dir.path(), &[]);
}

#[test]
fn an_operator_keeps_webhooks_up_beside_a_running_house() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran =
            Command::new(BINARY).arg("webhook").args(arguments).arg("--data-dir").arg(dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim().to_owned();
        (ran.status.success(), text(&ran.stdout), text(&ran.stderr))
    };
    let mut house = Running::start(&["serve"], dir.path());
    assert!(house.first_line().contains("ready"));
    let (_, listed, _) = run(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed["webhook_id"].as_str().unwrap();
    let (_, old, _) = run(&["secret", id]);
    let (done, new, told) = run(&["rotate", id]);
    assert!(done && new.starts_with("whsec_") && new != old && told.contains("signs beside it until"), "{told}");
    assert_eq!(run(&["secret", id]).1, new);
    // Our own receiver was told the new secret before it was signed with.
    let (_, tested, _) = run(&["test", id]);
    assert!(tested.starts_with("the endpoint took the probe: 2"), "{tested}");
    assert!(run(&["disable", id]).0);
    assert!(run(&["list"]).1.contains("off: the operator"));
    assert!(run(&["enable", id]).0);
    assert!(!run(&["list"]).1.contains("off:"));
    assert_eq!(run(&["deliveries", "--status", "failed"]), (true, String::new(), String::new()));
    let (done, _, told) = run(&["replay", "dlv_none"]);
    assert!(!done && told.contains("no delivery dlv_none"), "{told}");
    let (done, _, told) = run(&["rotate", "wh_none"]);
    assert!(!done && told.contains("no webhook wh_none"), "{told}");
}

#[test]
fn a_signal_right_after_the_ready_line_ends_it_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = Running::start(&["serve"], dir.path());
    assert!(house.first_line().contains("ready"));
    house.terminate();
    assert!(house.ended().success());
    assert!(!dir.path().join("keeper.json").exists());
}

#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Running::start(&["mailbox", "list"], dir.path());
    drop(command.0.stdout.take());
    assert!(command.ended().success());
}

#[test]
fn no_proxy_of_the_environment_hears_of_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let environment: Vec<_> = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .map(|name| (name, url.clone()))
        .into();
    let mut house = Running::start_among(&["serve"], dir.path(), &environment);
    assert!(house.first_line().contains("ready"));
    an_event_comes(dir.path(), &environment);
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the proxy was called");
}
