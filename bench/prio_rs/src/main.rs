//! Times nothing itself: does the work of one line of standard input, and answers with a line when it is done.
//!
//! A line is `draft circuit length chunk_length step reports`, such as `20 histogram 1000 32 shard 1000`. Circuits are
//! count, sum (length bits), sumvec (of 8 bits) and histogram. Steps are shard, verify (the Leader's first), and the
//! same from and to the encoded messages, shard+encode and decode+verify+encode. What a step needs is prepared when a
//! circuit is first named.

mod draft08;
mod draft20;

use std::collections::HashMap;
use std::io::{stdin, BufRead};

/// Does a step for a number of reports.
pub type Work = Box<dyn Fn(&str, usize)>;

/// Inputs that are prepared; a step for more reports goes through them again.
pub const PREPARED: usize = 16;

fn prepare(draft: &str, circuit: &str, length: usize, chunk_length: usize) -> Work {
    match draft {
        "8" => draft08::prepare(circuit, length, chunk_length),
        "20" => draft20::prepare(circuit, length, chunk_length),
        _ => panic!("draft 8 or 20"),
    }
}

fn main() {
    let mut prepared: HashMap<String, Work> = HashMap::new();
    for line in stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [draft, circuit, length, chunk_length, step, reports] = words[..] else {
            panic!("six words");
        };
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let work = prepared
            .entry([draft, circuit, length, chunk_length].join(" "))
            .or_insert_with(|| prepare(draft, circuit, number(length), number(chunk_length)));
        work(step, number(reports));
        println!("done");
    }
}
