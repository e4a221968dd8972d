//! Steps of Prio3 in the published crate, to be timed from Python.

mod draft08;
mod draft20;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, CStr};

/// Does a step for a number of reports.
pub type Work = Box<dyn Fn(&str, usize)>;

/// Inputs that are prepared; a step for more reports goes through them again.
pub const PREPARED: usize = 16;

thread_local! {
    static PREPARED_WORK: RefCell<HashMap<(u32, String, usize, usize), Work>> = RefCell::default();
}

fn prepare(draft: u32, circuit: &str, length: usize, chunk_length: usize) -> Work {
    match draft {
        8 => draft08::prepare(circuit, length, chunk_length),
        20 => draft20::prepare(circuit, length, chunk_length),
        _ => panic!("draft 8 or 20"),
    }
}

/// Does `step` for so many reports, of draft 8 or 20.
///
/// Circuits are count, sum (of `length` bits), sumvec (of 8 bits) and histogram. Steps are shard, verify (the Leader's
/// verify_init), and the same with the messages' encodings, shard+encode and decode+verify+encode. What a step needs is
/// prepared when a circuit is first named, for the calling thread. Aborts on anything else.
///
/// # Safety
/// The strings must end in NUL.
#[no_mangle]
pub unsafe extern "C" fn prio_do(
    draft: u32,
    circuit: *const c_char,
    length: usize,
    chunk_length: usize,
    step: *const c_char,
    reports: usize,
) {
    let circuit = CStr::from_ptr(circuit).to_str().expect("a name");
    let step = CStr::from_ptr(step).to_str().expect("a name");
    PREPARED_WORK.with_borrow_mut(|prepared| {
        let work = prepared
            .entry((draft, circuit.to_owned(), length, chunk_length))
            .or_insert_with(|| prepare(draft, circuit, length, chunk_length));
        work(step, reports);
    });
}
