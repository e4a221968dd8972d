//! Reads lines `KIND HEX`, and writes for each what janus_messages makes of the message: `ok HEX` or `refused`.
use janus_messages::{query_type::{FixedSize, TimeInterval}, *};
use prio::codec::{Decode, Encode};
use std::io::BufRead;

fn again<T: Decode + Encode>(data: &[u8]) -> String {
    match T::get_decoded(data) {
        Ok(value) => format!("ok {}", hex::encode(value.get_encoded().unwrap())),
        Err(_) => "refused".to_owned(),
    }
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (kind, text) = line.split_once(' ').unwrap();
        let data = hex::decode(text).unwrap();
        println!("{}", match kind {
            "job_init_time" => again::<AggregationJobInitializeReq<TimeInterval>>(&data),
            "job_init_fixed" => again::<AggregationJobInitializeReq<FixedSize>>(&data),
            "job_resp" => again::<AggregationJobResp>(&data),
            "job_continue" => again::<AggregationJobContinueReq>(&data),
            "collection_req_time" => again::<CollectionReq<TimeInterval>>(&data),
            "collection_req_fixed" => again::<CollectionReq<FixedSize>>(&data),
            "collection_time" => again::<Collection<TimeInterval>>(&data),
            "collection_fixed" => again::<Collection<FixedSize>>(&data),
            "share_req_time" => again::<AggregateShareReq<TimeInterval>>(&data),
            "share_req_fixed" => again::<AggregateShareReq<FixedSize>>(&data),
            "share" => again::<AggregateShare>(&data),
            "aad_time" => again::<AggregateShareAad<TimeInterval>>(&data),
            "aad_fixed" => again::<AggregateShareAad<FixedSize>>(&data),
            _ => panic!("{kind}"),
        });
    }
}
