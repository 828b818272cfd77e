//! `edgeroute-load`: the mock provider and the load generator of `make bench`.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use edgeroute_load::{Arrivals, Engine, Load, Mix, Mock, Prompts, Traffic, generate, tls_server, yardstick};
use serde::Serialize;

/// The two ends of a benchmark: a mock provider, and a generator of load that keeps to its schedule.
#[derive(Parser)]
#[command(name = "edgeroute-load", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer chat completions and messages with fixed replies, until stopped.
    Mock(MockOptions),
    /// Send requests at a fixed rate, and print what happened as JSON.
    Generate(GenerateOptions),
    /// Do a fixed amount of work, and print its CPU time as JSON: how fast the machine is now.
    Yardstick,
}

#[derive(Args)]
struct MockOptions {
    /// Address to listen on; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak TLS, and write the certificate of the authority to trust to this file.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Take the time that an inference engine takes, which reads so many tokens of prompts per second, one prompt after
    /// the other; a token is four bytes.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    prefill: Option<u32>,
    /// Tokens of prompts that the engine keeps: their beginnings are not read again.
    #[arg(long, value_name = "TOKENS", default_value_t = 300_000, requires = "prefill")]
    cache: u32,
}

#[derive(Args)]
struct GenerateOptions {
    /// The endpoint, as in http://127.0.0.1:4000/v1/chat/completions or …/v1/messages.
    url: String,
    /// Requests per second. Without it, as many as the connections carry, latency counted from sending (closed loop).
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Seconds during which requests are sent.
    #[arg(long, default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// The most requests.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Arrivals as a Poisson process that this seed repeats, instead of evenly spaced ones.
    #[arg(long, value_name = "SEED", requires = "rate")]
    poisson: Option<u64>,
    /// The most connections.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Open all connections before the first request is due, each with a request that is not counted, instead of each
    /// when no other is free.
    #[arg(long)]
    connected: bool,
    /// Ask for streams; with a share, such as 0.1, in so many of the requests.
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_value = "0", default_missing_value = "1",
        require_equals = true, value_parser = share)]
    stream: f64,
    /// The least bytes of a request's body; 0 gives about 900.
    #[arg(long, default_value_t = 0)]
    body: usize,
    /// How the mock is to reply: {"status":200,"text":256,"events":50,"first_ms":20,"gap_ms":10}, or some of these.
    #[arg(long, value_name = "JSON")]
    mock: Option<String>,
    /// Share of requests that make no sense.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    malformed: f64,
    /// Share of requests whose clients leave before the answer.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    abandoned: f64,
    /// Share of requests that the mock fails.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    failing: f64,
    /// What to ask: `texts` of about 0.9 kB, short `questions`, or the same ones `reworded`.
    #[arg(long, default_value = "texts", value_parser = prompts)]
    prompts: Prompts,
    /// The model to ask for.
    #[arg(long, default_value = "mock")]
    model: String,
    /// The bearer key to present.
    #[arg(long)]
    key: Option<String>,
    /// Seconds to wait for open responses at the end.
    #[arg(long, default_value = "10", value_parser = seconds)]
    patience: Duration,
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Mock(options) => options.run(),
        Command::Generate(options) => options.run(),
        Command::Yardstick => yardstick().map_err(Into::into).and_then(|seen| print(&seen)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "edgeroute-load: {error}");
            ExitCode::FAILURE
        }
    }
}

impl MockOptions {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { listen, tls, prefill, cache } = self;
        let engine = prefill.map(|prefill| Engine { prefill, cache });
        let tls = match tls {
            None => None,
            Some(file) => {
                let (config, authority) = tls_server()?;
                fs::write(&file, authority)
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
                Some(config)
            }
        };
        let mut mock =
            Mock::bind(listen, tls, engine).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        writeln!(io::stdout(), "{}", mock.address()?)?;
        Ok(mock.run()?)
    }
}

impl GenerateOptions {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let (authority, path) = split_url(&self.url)?;
        let address = resolve(authority)?;
        let load = Load {
            address,
            traffic: Traffic {
                authority: authority.to_owned(),
                path: path.to_owned(),
                model: self.model,
                key: self.key,
                streams: self.stream,
                body: self.body,
                mock: self.mock,
                mix: Mix { malformed: self.malformed, abandoned: self.abandoned, failing: self.failing },
                prompts: self.prompts,
            },
            arrivals: self.rate.map(|rate| Arrivals::new(rate, self.poisson)),
            duration: self.duration,
            count: self.count,
            connections: self.connections.into(),
            connected: self.connected,
            patience: self.patience,
        };
        let summary = generate(&load)?;
        print(&summary)
    }
}

fn print(seen: &impl Serialize) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string_pretty(seen)?)?)
}

fn prompts(written: &str) -> Result<Prompts, String> {
    match written {
        "texts" => Ok(Prompts::Texts),
        "questions" => Ok(Prompts::Questions),
        "reworded" => Ok(Prompts::Reworded),
        _ => Err("it is `texts`, `questions` or `reworded`".to_owned()),
    }
}

/// Authority and path of a URL.
fn split_url(url: &str) -> Result<(&str, &str), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` does not begin with http://"))?;
    let slash =
        rest.find('/').ok_or_else(|| format!("`{url}` names no endpoint, as in …/v1/chat/completions"))?;
    Ok(rest.split_at(slash))
}

fn resolve(authority: &str) -> Result<SocketAddr, String> {
    let with_port = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let found =
        with_port.to_socket_addrs().map_err(|error| format!("cannot resolve `{authority}`: {error}"))?;
    found.into_iter().next().ok_or_else(|| format!("`{authority}` has no address"))
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be more than 0".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // An hour at most: times are added up without a check.
    if !(0.0..=3_600.0).contains(&number) {
        return Err("must be between 0 and one hour".to_owned());
    }
    Ok(Duration::from_secs_f64(number))
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must be between 0 and 1".to_owned()) }
}
