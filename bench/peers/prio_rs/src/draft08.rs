//! The crate's version that speaks draft 8.

use crate::{Work, PREPARED};
use prio_08::codec::{Encode, ParameterizedDecode};
use prio_08::flp::Type;
use prio_08::vdaf::prio3::{Prio3, Prio3InputShare, Prio3PublicShare};
use prio_08::vdaf::xof::XofTurboShake128;
use prio_08::vdaf::{Aggregator, Client};
use std::hint::black_box;

const SEED_SIZE: usize = 16;

type Vdaf<T> = Prio3<T, XofTurboShake128, SEED_SIZE>;

struct Report<T: Type> {
    measurement: T::Measurement,
    nonce: [u8; 16],
    public_share: Prio3PublicShare<SEED_SIZE>,
    input_share: Prio3InputShare<T::Field, SEED_SIZE>,
    encoded_public_share: Vec<u8>,
    encoded_input_share: Vec<u8>,
}

fn report<T: Type>(vdaf: &Vdaf<T>, measurement: T::Measurement, nonce: [u8; 16]) -> Report<T> {
    let (public_share, input_shares) = vdaf.shard(&measurement, &nonce).unwrap();
    let input_share = input_shares.into_iter().next().unwrap();
    Report {
        measurement,
        nonce,
        encoded_public_share: public_share.get_encoded().unwrap(),
        encoded_input_share: input_share.get_encoded().unwrap(),
        public_share,
        input_share,
    }
}

fn shard<T: Type>(vdaf: &Vdaf<T>, report: &Report<T>, encode: bool) {
    let (public_share, input_shares) = vdaf.shard(&report.measurement, &report.nonce).unwrap();
    if encode {
        black_box(public_share.get_encoded().unwrap());
        for input_share in &input_shares {
            black_box(input_share.get_encoded().unwrap());
        }
    }
    black_box((public_share, input_shares));
}

fn verify<T: Type>(
    vdaf: &Vdaf<T>,
    report: &Report<T>,
    public_share: &Prio3PublicShare<SEED_SIZE>,
    input_share: &Prio3InputShare<T::Field, SEED_SIZE>,
    encode: bool,
) {
    let (state, share) = vdaf
        .prepare_init(
            &[0; SEED_SIZE],
            0,
            &(),
            &report.nonce,
            public_share,
            input_share,
        )
        .unwrap();
    if encode {
        black_box(share.get_encoded().unwrap());
    }
    black_box((state, share));
}

fn decode_and_verify<T: Type>(vdaf: &Vdaf<T>, report: &Report<T>) {
    let public_share =
        Prio3PublicShare::get_decoded_with_param(vdaf, &report.encoded_public_share).unwrap();
    let input_share =
        Prio3InputShare::get_decoded_with_param(&(vdaf, 0), &report.encoded_input_share).unwrap();
    verify(vdaf, report, &public_share, &input_share, true);
}

fn work<T: Type + 'static>(vdaf: Vdaf<T>, measurement: impl Fn(usize) -> T::Measurement) -> Work {
    let reports: Vec<Report<T>> = (0..PREPARED)
        .map(|i| report(&vdaf, measurement(i), [i as u8; 16]))
        .collect();
    Box::new(move |step, count| {
        for report in reports.iter().cycle().take(count) {
            match step {
                "shard" => shard(&vdaf, report, false),
                "shard+encode" => shard(&vdaf, report, true),
                "verify" => verify(
                    &vdaf,
                    report,
                    &report.public_share,
                    &report.input_share,
                    false,
                ),
                "decode+verify+encode" => decode_and_verify(&vdaf, report),
                _ => panic!("no such step"),
            }
        }
    })
}

pub fn prepare(circuit: &str, length: usize, chunk_length: usize) -> Work {
    match circuit {
        "count" => work(Prio3::new_count(2).unwrap(), |i| i % 2 == 1),
        "sum" => work(Prio3::new_sum(2, length).unwrap(), |i| i as u128),
        "sumvec" => work(
            Prio3::new_sum_vec(2, 8, length, chunk_length).unwrap(),
            move |i| vec![i as u128; length],
        ),
        "histogram" => work(
            Prio3::new_histogram(2, length, chunk_length).unwrap(),
            move |i| i % length,
        ),
        _ => panic!("no such circuit"),
    }
}
