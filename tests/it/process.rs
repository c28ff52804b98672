//! The real binary as a process: started, asked, signalled, waited for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub use crate::support::PATIENCE;
use crate::support::until;

/// A running `reprompt serve`; killed if a test fails.
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
        Self::of(reprompt(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()))
    }

    /// Starts a command.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
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
            let is_address = |character: &char| character.is_ascii_hexdigit() || ".:[]".contains(*character);
            address = line.map(|(_, address)| address.chars().take_while(is_address).collect()).unwrap_or_default();
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

    /// As [`Self::call`], without a body and with these headers.
    pub fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<(u16, Value)> {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        ask(&self.address, method, path, &headers, "")
    }

    /// A `POST` with these headers: its status and the lines of the answer's head.
    pub fn call_as(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> (u16, Vec<String>) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer = exchange(&self.address, "POST", path, &headers, &body.to_string()).unwrap();
        let head: Vec<String> = answer.lines().take_while(|line| !line.is_empty()).map(str::to_owned).collect();
        (head[0].split(' ').nth(1).unwrap().parse().unwrap(), head)
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
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

    /// Memory that the process holds, as its kernel counts it.
    #[cfg(target_os = "linux")]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
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
    ask(address, method, path, "", &body.map(Value::to_string).unwrap_or_default())
}

fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<(u16, Value)> {
    let answer = exchange(address, method, path, headers, body)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

/// The whole answer to a request on a connection of its own, as text.
fn exchange(address: &str, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// [`until`], of what is asked without waiting.
pub async fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    until(what, async || happens()).await;
}
