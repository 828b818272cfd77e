//! What is allocated is counted, by calls and bytes, and of this thread alone.
#![cfg(target_env = "gnu")]

use std::hint::black_box;
use std::thread;

use edgeroute_gates::{Allocated, allocated};

fn check(work: impl FnOnce(), native: u64, native_bytes: u64) {
    let before = allocated();
    work();
    let after = allocated();
    let counted = Allocated {
        native: after.native - before.native,
        native_bytes: after.native_bytes - before.native_bytes,
        ..Allocated::default()
    };
    assert_eq!(counted, Allocated { native, native_bytes, ..Allocated::default() });
}

#[test]
fn calls_and_bytes_are_counted() {
    check(|| {}, 0, 0);
    check(|| drop(black_box(Vec::<u8>::with_capacity(100))), 1, 100);
    check(|| drop(black_box(vec![0_u8; 1 << 20])), 1, 1 << 20);
    check(|| drop(black_box(vec![Box::new(1_u64), Box::new(2)])), 3, 16 + 16);
}

#[test]
fn a_block_that_grows_is_one_more() {
    let mut text = black_box(String::with_capacity(10));
    check(|| text.reserve_exact(30), 1, 30);
}

#[test]
fn an_aligned_block_is_one() {
    #[derive(Default)]
    #[repr(align(64))]
    struct Line {
        _bytes: [u64; 8],
    }
    check(|| drop(black_box(Box::new(Line::default()))), 1, 64);
}

#[test]
fn other_threads_do_not_count() {
    let (go, gone) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            go.wait();
            drop(black_box(vec![0_u8; 100]));
            gone.wait();
        });
        check(
            || {
                go.wait();
                gone.wait();
            },
            0,
            0,
        );
    });
}
