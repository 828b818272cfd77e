//! Several hosts with one Redis, which may be away, may be wrong, and may hold anything.
//!
//! Each directory stands for a host. Without `redis-server` or `valkey-server` in the path, the tests say so and pass.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use edgeroute_store::{Entry, Purge, Settings};
use support::{Directory, Worker, entry, now_ms, settings, wait_until};

struct Redis {
    child: Child,
    port: u16,
    _directory: Directory,
}

const PASSWORD: &str = "s3cret/@word";

impl Redis {
    fn start(port: u16) -> Option<Self> {
        Self::start_with(Directory::new(), port, &["--port", &port.to_string()])
    }

    fn start_with(directory: Directory, port: u16, options: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(directory.path()).unwrap();
        for program in ["redis-server", "valkey-server"] {
            let mut command = Command::new(program);
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--requirepass",
                PASSWORD,
            ]);
            command.args(options).arg("--dir").arg(directory.path()).current_dir(directory.path());
            if let Ok(child) = command.stdout(Stdio::null()).spawn() {
                wait_until("Redis listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
                return Some(Self { child, port, _directory: directory });
            }
        }
        eprintln!("skipped: neither redis-server nor valkey-server is installed");
        None
    }

    fn url(&self) -> String {
        url(self.port, "s3cret%2F%40word")
    }

    /// The first line of a reply.
    fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("AUTH {PASSWORD}\r\nSELECT 2\r\n{command}\r\n").as_bytes()).unwrap();
        let lines: Vec<String> = BufReader::new(stream).lines().take(3).map(Result::unwrap).collect();
        assert_eq!(lines[..2], ["+OK", "+OK"]);
        lines[2].clone()
    }

    /// Without the stream.
    fn entries(&self) -> usize {
        self.ask("DBSIZE")[1..].parse::<usize>().unwrap().saturating_sub(1)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(port: u16, password: &str) -> String {
    format!("redis://:{password}@127.0.0.1:{port}/2")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn host(directory: &Directory, url: &str) -> Worker {
    Worker::open(Settings { redis: Some(url.to_owned()), ..settings(directory.path()) })
}

#[test]
fn hosts_share_what_they_put_and_purge() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new(), Directory::new()];
    let [mut one, mut beside, mut other] =
        [&directories[0], &directories[0], &directories[1]].map(|directory| host(directory, &redis.url()));
    let entries: Vec<_> = (1..=60).map(|key| entry(key, key as usize * 900)).collect();
    for each in &entries {
        [&mut one, &mut beside, &mut other][each.key as usize % 3].put(each.clone());
    }
    for worker in [&mut one, &mut beside, &mut other] {
        worker.until("all is known", |worker| worker.known.len() == entries.len());
        for (key, found) in worker.fetch_all(1..=60) {
            assert_eq!(found.as_ref(), entries.get(key as usize - 1));
        }
    }
    assert_eq!(redis.entries(), entries.len());

    // A host that comes later begins with what there is, in Redis alone or not.
    let mut late = host(&directories[2], &redis.url());
    late.until("all is known", |late| late.known.len() == entries.len());
    assert_eq!(late.fetch(60).as_ref(), entries.last());

    let mut left = entries;
    for purge in [
        Purge::Key(60),
        Purge::Tenant(3),
        Purge::Model(1),
        Purge::OlderThan { stored_before_ms: left[30].stored_ms },
        Purge::All,
    ] {
        left.retain(|each| !purge.covers(each.key, each.tenant, each.model, each.stored_ms));
        beside.store.purge(purge);
        for worker in [&mut one, &mut beside, &mut other, &mut late] {
            worker.until("what was purged is gone", |worker| worker.known.len() == left.len());
            assert!(left.iter().all(|each| worker.known.contains_key(&each.key)), "{purge:?}");
        }
        assert_eq!(redis.entries(), left.len(), "{purge:?}");
    }
    for worker in [one, beside, other, late] {
        assert_eq!(worker.warnings, [""; 0]);
    }
}

/// The announcement of an entry by a host that nobody is.
fn announce(redis: &Redis, name: &str) {
    let said = redis.ask(&format!("XADD edgeroute:cache:1:news * host x entry {name}"));
    assert!(said.starts_with('$'), "{said}");
}

fn name(entry: &Entry) -> String {
    format!("edgeroute:cache:1:{:016x}:{:016x}:{:032x}", entry.tenant, entry.model, entry.key)
}

#[test]
fn a_host_that_was_cut_off_does_not_undo_what_others_purged_meanwhile() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    for (purge, keys) in [(Purge::Tenant(1), [2, 1, 3, 4]), (Purge::All, [9, 8, 10, 11])] {
        let [before, early] = [keys[0], keys[1]].map(|key| entry(key, 10));
        let mut one = host(&directories[0], &redis.url());
        let mut other = host(&directories[1], &redis.url());
        one.put(before.clone());
        other.until("they share", |other| other.known.contains_key(&before.key));
        drop(other);
        let mut other = Worker::on(&directories[1]);
        other.put(early.clone());
        other.settle();
        drop(other);

        one.store.purge(purge);
        let after = entry(keys[2], 10);
        one.put(after.clone());
        wait_until("the purge is announced, for what came later is", || {
            redis.ask(&format!("EXISTS {}", name(&after))) == ":1"
        });
        let mut other = host(&directories[1], &redis.url());
        other.until("what was put there is known", |other| other.known.contains_key(&after.key));
        let later = entry(keys[3], 10);
        other.put(later.clone());
        one.until("so is what comes from there", |one| one.known.contains_key(&later.key));
        for worker in [&mut one, &mut other] {
            worker.until("what was purged is not", |worker| !worker.known.contains_key(&early.key));
            assert_eq!(worker.fetch(early.key), None, "{purge:?}");
        }
        assert_eq!(redis.ask(&format!("EXISTS {}", name(&early))), ":0");
    }
}

#[test]
fn what_others_had_before_a_purge_and_announce_after_it_stays_away() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let [mut one, mut other] = [0, 1].map(|each: usize| host(&directories[each], &redis.url()));
    let early = entry(1, 10);
    other.put(early.clone());
    one.until("it is known", |one| one.known.contains_key(&1));
    redis.ask(&format!("RENAME {} kept", name(&early)));
    one.store.purge(Purge::Tenant(1));
    for worker in [&mut one, &mut other] {
        worker.until("it is purged", |worker| !worker.known.contains_key(&1));
    }
    one.put(entry(2, 10));
    other.until("the purge was announced", |other| other.known.contains_key(&2));
    redis.ask(&format!("RENAME kept {}", name(&early)));
    announce(&redis, &name(&early));
    other.put(entry(3, 10));
    one.until("the next is known", |one| one.known.contains_key(&3));
    assert_eq!(one.fetch(1), None);
    assert_eq!(other.fetch(1), None);

    let mut late = entry(1, 10);
    late.stored_ms = now_ms() + 1;
    other.put(late.clone());
    one.until("one that is later comes", |one| one.known.contains_key(&1));
    assert_eq!(one.fetch(1), Some(late));
}

#[test]
fn a_purge_without_redis_covers_what_comes_before_it_is_announced() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let [mut one, mut other] = [0, 1].map(|each: usize| host(&directories[each], &redis.url()));
    one.put(entry(2, 10));
    other.until("they share", |other| other.known.contains_key(&2));
    drop(one);
    let mut ahead = entry(1, 10);
    ahead.stored_ms = now_ms() + 3_600_000; // a clock that is wrong
    other.put(ahead);
    wait_until("it is there", || redis.entries() == 2);

    let mut one = Worker::on(&directories[0]);
    one.store.purge(Purge::Tenant(1));
    one.settle();
    drop(one);
    let mut one = host(&directories[0], &redis.url());
    one.put(entry(3, 10));
    other.until("what comes later is known", |other| other.known.contains_key(&3));
    other.until("what was purged is gone", |other| !other.known.contains_key(&1));
    other.put(entry(4, 10));
    one.until("what comes later is known", |one| one.known.contains_key(&4));
    one.until("what was purged is gone", |one| !one.known.contains_key(&1));
    assert_eq!((one.fetch(1), other.fetch(1)), (None, None));
    assert_eq!(redis.entries(), 3);
}

#[test]
fn it_is_told_when_purges_may_have_been_missed() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let [mut one, mut other] = [0, 1].map(|each: usize| host(&directories[each], &redis.url()));
    one.put(entry(1, 10));
    other.until("they share", |other| other.known.contains_key(&1));
    drop(other);
    one.store.purge(Purge::Tenant(1));
    wait_until("it is purged", || redis.entries() == 0);
    let news = "for i = 1, 100200 do redis.call('XADD', KEYS[1], 'MAXLEN', '~', '100000', '*', 'a', 'b') end";
    redis.ask(&format!("EVAL \"{news}\" 1 edgeroute:cache:1:news"));
    let mut other = host(&directories[1], &redis.url());
    other.until("a warning has come", |other| !other.warnings.is_empty());
    let [warning] = &other.warnings[..] else { unreachable!("{:?}", other.warnings) };
    assert!(warning.ends_with("of what others purged while this host was away: purge again"), "{warning}");
    assert_eq!(one.warnings, [""; 0]);
}

#[test]
fn the_later_answer_wins_and_an_expired_one_is_gone() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let [mut one, mut other] = [0, 1].map(|each: usize| host(&directories[each], &redis.url()));
    let (mut early, late) = (entry(1, 10), entry(1, 20));
    early.stored_ms = late.stored_ms - 1000;
    one.put(late.clone());
    other.until("it is known", |other| other.bodies.contains_key(&1));
    one.settle();
    other.put(early);
    let mut marker = entry(2, 10);
    marker.expires_ms = now_ms() + 1000;
    other.put(marker);
    one.until("the next is known", |one| one.known.contains_key(&2));
    assert_eq!(one.fetch(1), Some(late));
    one.until("it has expired", |one| !one.known.contains_key(&2));
    wait_until("it has expired in Redis", || redis.entries() == 1);
}

#[test]
fn without_redis_everything_local_goes_on() {
    let port = free_port();
    let directories = [Directory::new(), Directory::new()];
    let [mut one, mut other] =
        [0, 1].map(|each: usize| host(&directories[each], &url(port, "s3cret%2F%40word")));
    one.put(entry(1, 10));
    one.until("a warning has come", |one| one.warnings.len() == 1);
    assert!(one.warnings[0].contains("Connection refused") && one.warnings[0].contains(&port.to_string()));
    assert!(!one.warnings[0].contains("s3cret"), "{:?}", one.warnings);
    assert!(one.fetch(1).is_some());
    // Redis comes, goes and comes again: nothing that is still here was lost.
    for round in 2..4 {
        let Some(redis) = Redis::start(port) else { return };
        one.put(entry(round, 10));
        other.until("what was put meanwhile is known", |other| {
            (1..=round).all(|key| other.known.contains_key(&key))
        });
        drop(redis);
        one.until("it is told that Redis is gone", |one| one.warnings.len() as u128 == 2 * round - 1);
    }
    let again = |warning: &&String| warning.ends_with("again");
    assert_eq!(one.warnings.iter().filter(again).count(), 2, "{:?}", one.warnings);
    assert!(other.fetch(3).is_some());
}

#[test]
fn another_worker_takes_over_from_one_that_ends() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let [first, mut second, mut other] =
        [&directories[0], &directories[0], &directories[1]].map(|directory| host(directory, &redis.url()));
    first.store.put(entry(1, 10));
    other.until("the first is known", |other| other.known.contains_key(&1));
    drop(first);
    second.put(entry(2, 10));
    other.until("so is what the second puts", |other| other.known.contains_key(&2));
    other.put(entry(3, 10));
    second.until("and the other way round", |second| second.known.contains_key(&3));
}

#[test]
fn what_is_wrong_with_redis_is_told() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directory = Directory::new();
    for (url, expected) in [
        (url(redis.port, "wrong"), "WRONGPASS"),
        (format!("redis://127.0.0.1:{}", redis.port), "NOAUTH"),
        (format!("rediss://:wrong@127.0.0.1:{}", redis.port), "Redis"),
        ("http://127.0.0.1/".to_owned(), "no URL of the form redis://"),
    ] {
        let mut worker = host(&directory, &url);
        worker.until("a warning has come", |worker| !worker.warnings.is_empty());
        assert!(worker.warnings[0].contains(expected), "{:?}", worker.warnings);
        assert!(!worker.warnings[0].contains("wrong@"));
    }
}

#[test]
fn whatever_lies_in_redis_does_no_harm() {
    let Some(redis) = Redis::start(free_port()) else { return };
    let directories = [Directory::new(), Directory::new()];
    let mut one = host(&directories[0], &redis.url());
    one.put(entry(1, 10));
    wait_until("it is there", || redis.entries() == 1);
    for command in [
        "XADD edgeroute:cache:1:news * a b",
        "XADD edgeroute:cache:1:news * host x entry edgeroute:cache:1:nonsense",
        "XADD edgeroute:cache:1:news * host x entry edgeroute:cache:1:news",
        "XADD edgeroute:cache:1:news * host x purge x",
        "XADD edgeroute:cache:1:news * host x dance x",
        "SET edgeroute:cache:1:0:0:ff garbage",
        "XADD edgeroute:cache:1:news * host x entry edgeroute:cache:1:0:0:ff",
    ] {
        assert!(!redis.ask(command).starts_with('-'), "{command}");
    }
    let mut other = host(&directories[1], &redis.url());
    one.put(entry(2, 10));
    other.until("what is right is known", |other| other.known.len() == 2);
    assert!(other.known.contains_key(&1) && other.known.contains_key(&2));
}

#[test]
fn redis_over_tls() {
    let directory = Directory::new();
    let file = |name: &str, content: String| {
        std::fs::create_dir_all(directory.path()).unwrap();
        std::fs::write(directory.path().join(name), content).unwrap();
        directory.path().join(name)
    };
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let roots = file("roots.pem", authority.self_signed(&authority_key).unwrap().pem());
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    file("certificate.pem", certificate.pem());
    file("key.pem", key.serialize_pem());
    let port = free_port();
    let options = ["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
    let files = [
        "--tls-cert-file",
        "certificate.pem",
        "--tls-key-file",
        "key.pem",
        "--tls-ca-cert-file",
        "roots.pem",
    ];
    let Some(_redis) = Redis::start_with(directory, port, &[&options[..], &files].concat()) else { return };

    let hosts = Directory::new();
    let trusted = |roots: &std::ffi::OsStr| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child_shares_over_tls", "--exact", "--ignored"]).env("SSL_CERT_FILE", roots);
        command.env("EDGEROUTE_TEST_DIRECTORY", hosts.path()).env("EDGEROUTE_TEST_PORT", port.to_string());
        command.stdout(Stdio::null()).status().unwrap().success()
    };
    assert!(trusted(roots.as_os_str()));
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_shares_over_tls() {
    let Some(directory) = support::spawned_on() else { return };
    let port: u16 = std::env::var("EDGEROUTE_TEST_PORT").unwrap().parse().unwrap();
    let on = |host: &str, name: &str| {
        let redis = Some(format!("rediss://:s3cret%2F%40word@{name}:{port}"));
        Worker::open(Settings { redis, ..settings(&directory.join(host)) })
    };
    let (mut one, mut other) = (on("one", "localhost"), on("other", "localhost"));
    one.put(entry(1, 100_000));
    other.until("it is known", |other| other.known.contains_key(&1));
    assert_eq!(other.fetch(1).unwrap().body, entry(1, 100_000).body);
    let mut elsewhere = on("elsewhere", "127.0.0.1");
    elsewhere.until("a certificate for another name is refused", |worker| {
        worker.warnings.iter().any(|warning| warning.contains("certificate"))
    });
}
