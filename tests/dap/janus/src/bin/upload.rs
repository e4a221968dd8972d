//! Uploads measurements as Janus' Client: upload TASK LEADER HELPER PRECISION MEASUREMENT...
//!
//! The task's VDAF is a Histogram of 4 buckets in chunks of 2; PRECISION is in seconds.
use janus_client::Client;
use janus_messages::Duration;
use prio::vdaf::prio3::Prio3;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [task, leader, helper] = [&args[1], &args[2], &args[3]];
    let precision = Duration::from_seconds(args[4].parse().unwrap());
    let vdaf = Prio3::new_histogram(2, 4, 2).unwrap();
    let client = Client::new(
        task.parse().unwrap(),
        leader.parse().unwrap(),
        helper.parse().unwrap(),
        precision,
        vdaf,
    )
    .await
    .unwrap();
    for measurement in &args[5..] {
        client.upload(&measurement.parse().unwrap()).await.unwrap();
    }
}
