//! The real binary as a process: started, asked, signalled, waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// Time that nothing should need.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running `reprompt serve`; killed where a test fails.
pub struct Process {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, nothing of the surroundings taken over.
pub fn reprompt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprompt"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name == "RUST_LOG" || name.to_string_lossy().starts_with("REPROMPT_") {
            command.env_remove(name);
        }
    }
    command
}

impl Process {
    /// Starts serving on a free port.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = reprompt(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let process = Self { child, address: String::new(), log: Arc::clone(&log) };
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        process
    }

    /// Starts serving on a free port and waits until it is ready.
    pub async fn ready(arguments: &[&str]) -> Self {
        let mut process = Self::start(arguments);
        let mut address = String::new();
        eventually("it listens", || {
            let log = process.log.lock().unwrap();
            assert!(process.child.try_wait().unwrap().is_none(), "it ended: {log}");
            let line = log.lines().find_map(|line| line.split_once("listening on http://"));
            address = line.map(|(_, address)| address.trim().to_owned()).unwrap_or_default();
            !address.is_empty()
        })
        .await;
        process.address = address;
        eventually("it becomes ready", || process.call("GET", "/readyz", None).is_ok_and(|(status, _)| status == 200))
            .await;
        process
    }

    /// One request on a connection of its own.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
        call(&self.address, method, path, body)
    }

    /// As [`Self::call`], on a thread of its own.
    pub fn begin(
        &self,
        method: &'static str,
        path: &'static str,
        body: Value,
    ) -> std::thread::JoinHandle<std::io::Result<(u16, Value)>> {
        let address = self.address.clone();
        std::thread::spawn(move || call(&address, method, path, Some(&body)))
    }

    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the process to end: its exit code and what it logged.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let mut code = None;
        eventually("it ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        // The log's writer sees the end of the pipe a moment later.
        let log = Arc::clone(&self.log);
        eventually("its log is read", || Arc::strong_count(&log) == 2).await;
        (code.and_then(|status| status.code()), log.lock().unwrap().clone())
    }
}

fn call(address: &str, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

pub async fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let waiting = async {
        while !happens() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}: it does not");
}
