//! `edgeroute-load`: the mock provider and the load generator of `make bench`.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use edgeroute_load::{Arrivals, Load, Mock, Replies, Traffic, generate};

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
}

#[derive(Args)]
struct MockOptions {
    /// Address to listen on; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bytes of text in a whole reply.
    #[arg(long, default_value_t = 256)]
    text: usize,
    /// Content events of a stream.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    events: u16,
    /// Milliseconds to the first event of a stream.
    #[arg(long, default_value = "20", value_parser = milliseconds)]
    first_event: Duration,
    /// Milliseconds from one event to the next.
    #[arg(long, default_value = "10", value_parser = milliseconds)]
    gap: Duration,
}

#[derive(Args)]
struct GenerateOptions {
    /// The endpoint, as in http://127.0.0.1:4000/v1/chat/completions or …/v1/messages.
    url: String,
    /// Requests per second.
    #[arg(long, default_value = "1000", value_parser = positive)]
    rate: f64,
    /// Seconds during which requests are sent.
    #[arg(long, default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// Arrivals as a Poisson process that this seed repeats, instead of evenly spaced ones.
    #[arg(long, value_name = "SEED")]
    poisson: Option<u64>,
    /// The most connections.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Ask for streams.
    #[arg(long)]
    stream: bool,
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
        let Self { listen, text, events, first_event, gap } = self;
        let replies = Replies { text, events: events.into(), first_event, gap };
        let mut mock =
            Mock::bind(listen, replies).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
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
                stream: self.stream,
            },
            arrivals: Arrivals::new(self.rate, self.poisson),
            duration: self.duration,
            connections: self.connections.into(),
            patience: self.patience,
        };
        let summary = generate(&load)?;
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&summary)?)?;
        Ok(())
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

fn milliseconds(text: &str) -> Result<Duration, String> {
    seconds(text).map(|duration| duration / 1_000)
}
