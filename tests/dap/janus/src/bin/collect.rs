//! Collects a batch as Janus' Collector: collect TASK LEADER TOKEN CONFIG KEY (current | START DURATION)
//!
//! The task's VDAF is a Histogram of 4 buckets in chunks of 2. TOKEN is shown as a bearer token, or after `dap-auth:`
//! in the draft's own header; CONFIG and KEY, of HPKE, are hexadecimal; START and DURATION are in seconds. Writes the
//! number of reports and the result.
use janus_collector::{AuthenticationToken, Collector, ExponentialBackoff};
use janus_core::hpke::{HpkeKeypair, HpkePrivateKey};
use janus_messages::{Duration, FixedSizeQuery, HpkeConfig, Interval, Query, Time};
use prio::{codec::Decode, vdaf::prio3::Prio3};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let token = match args[3].strip_prefix("dap-auth:") {
        Some(token) => AuthenticationToken::new_dap_auth_token_from_string(token),
        None => AuthenticationToken::new_bearer_token_from_string(&args[3]),
    };
    let config = HpkeConfig::get_decoded(&hex::decode(&args[4]).unwrap()).unwrap();
    let keys = HpkeKeypair::new(config, HpkePrivateKey::new(hex::decode(&args[5]).unwrap()));
    let vdaf = Prio3::new_histogram(2, 4, 2).unwrap();
    let (task, leader) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let patience = ExponentialBackoff {
        max_interval: std::time::Duration::from_secs(1),
        ..Default::default()
    };
    let collector = Collector::builder(task, leader, token.unwrap(), keys, vdaf)
        .with_collect_poll_backoff(patience)
        .build()
        .unwrap();
    let (count, result) = if args[6] == "current" {
        let query = Query::new_fixed_size(FixedSizeQuery::CurrentBatch);
        let found = collector.collect(query, &()).await.unwrap();
        (found.report_count(), found.aggregate_result().clone())
    } else {
        let start = Time::from_seconds_since_epoch(args[6].parse().unwrap());
        let duration = Duration::from_seconds(args[7].parse().unwrap());
        let query = Query::new_time_interval(Interval::new(start, duration).unwrap());
        let found = collector.collect(query, &()).await.unwrap();
        (found.report_count(), found.aggregate_result().clone())
    };
    println!("{count} {result:?}");
}
