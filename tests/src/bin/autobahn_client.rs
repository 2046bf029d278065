//! The client under the Autobahn test suite: sends every message of a fuzzing server back.
//!
//! `cargo xtask test autobahn` runs it. It prints `case N` for each case it begins; what a case found is in the
//! reports that the suite writes at the end.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use sockeye::proto::deflate::Deflate;
use sockeye::{Client, CloseCode, Config, Message, QueueLimits, WebSocket, web};

/// Runs the cases of an Autobahn fuzzing server
#[derive(Parser, Debug)]
struct Options {
    /// Where the fuzzing server listens
    #[arg(long, default_value = "ws://127.0.0.1:9001")]
    url: String,
    /// What the reports call this client
    #[arg(long, default_value = "sockeye")]
    agent: String,
    /// Whether to offer permessage-deflate
    #[arg(long, value_enum, default_value_t)]
    compression: Compression,
    /// Which of the client's faces runs the cases
    #[arg(long, value_enum, default_value_t)]
    face: Face,
    /// The cases to run by their number in the server's list, such as 1,10-20; all if absent
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = range)]
    cases: Vec<RangeInclusive<usize>>,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Compression {
    On,
    #[default]
    Off,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Face {
    /// `sockeye::WebSocket`
    #[default]
    Native,
    /// `sockeye::web::WebSocket`, the browser's API
    Web,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let client = client(options.compression)?;
    let count = case_count(&client, &options.url).await?;
    for case in selected(&options.cases, count)? {
        println!("case {case}");
        let url = format!("{}/runCase?case={case}&agent={}", options.url, options.agent);
        match options.face {
            Face::Native => run_case(&client, &url).await.map_err(anyhow::Error::from),
            Face::Web => run_web_case(&client, options.compression, &url).await,
        }
        .with_context(|| format!("case {case} could not be begun"))?;
    }
    let url = format!("{}/updateReports?agent={}", options.url, options.agent);
    drain(&mut client.connect(url).await?).await;
    Ok(())
}

/// A client with room for the largest cases: 16 MiB messages in 65,536 fragments and more.
fn client(compression: Compression) -> Result<Client> {
    let limits = Config {
        max_message_size: 64 * 1024 * 1024,
        max_fragments: 1_000_000,
        ..Config::client()
    };
    let queues = QueueLimits {
        write_timeout: Duration::from_secs(60),
        ..QueueLimits::default()
    };
    let builder = Client::builder()
        .limits(limits)
        .queues(queues)
        .compression(deflate(compression));
    Ok(builder.build()?)
}

fn deflate(compression: Compression) -> Option<Deflate> {
    // The server may keep its window, so that both ways of inflating are tested.
    let deflate = Deflate {
        server_no_context_takeover: false,
        ..Deflate::default()
    };
    (compression == Compression::On).then_some(deflate)
}

async fn case_count(client: &Client, url: &str) -> Result<usize> {
    let mut ws = client.connect(format!("{url}/getCaseCount")).await?;
    let count = match ws.recv().await? {
        Some(Message::Text(count)) => count.parse().context("the number of cases is no number")?,
        other => bail!("the server did not tell the number of cases but {other:?}"),
    };
    drain(&mut ws).await;
    Ok(count)
}

/// Runs one case. Most end in a failure of the connection, as they should: the server judges.
async fn run_case(client: &Client, url: &str) -> sockeye::Result<()> {
    let mut ws = client.connect(url).await?;
    while let Ok(Some(message)) = ws.recv().await {
        if ws.send(message).await.is_err() {
            break;
        }
    }
    // The next case must not begin before the server is done with this one.
    drain(&mut ws).await;
    Ok(())
}

/// Runs one case as a page in a browser would.
async fn run_web_case(client: &Client, compression: Compression, url: &str) -> Result<()> {
    let event_loop = web::EventLoop::new();
    let page = web::Environment::builder()
        .client(client.clone())
        .compression(deflate(compression))
        .event_loop(event_loop.clone())
        .build()?;
    let ws = web::WebSocket::new_in(&page, url, ())?;
    ws.set_on_message(|event| {
        if let Some(ws) = event.target() {
            // While the connection is being opened there are no messages, so there is nothing to fail.
            let _ = ws.send(event.data());
        }
    });
    let mut opened = false;
    while ws.ready_state() != web::WebSocket::CLOSED {
        event_loop.turn().await;
        opened |= ws.ready_state() == web::WebSocket::OPEN;
    }
    match ws.failure() {
        Some(error) if !opened => Err(error.into()),
        _ => Ok(()),
    }
}

/// Waits until the connection has ended, however it does.
async fn drain(ws: &mut WebSocket) {
    while let Ok(Some(_)) = ws.recv().await {}
    let _ = ws.close(CloseCode::NORMAL, "").await;
}

/// The numbers of the cases to run.
fn selected(ranges: &[RangeInclusive<usize>], count: usize) -> Result<Vec<usize>> {
    if let Some(range) = ranges.iter().find(|range| *range.end() > count) {
        bail!("there are {count} cases, and no case {}", range.end());
    }
    Ok(if ranges.is_empty() {
        (1..=count).collect()
    } else {
        ranges.iter().cloned().flatten().collect()
    })
}

/// Reads `7` or `7-12`.
fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(first..=last),
        _ => Err("write numbers from 1 and ranges, such as 3 or 7-12".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_numbers_and_ranges() {
        let options = Options::try_parse_from(["autobahn_client", "--cases", "2,5-7"]).unwrap();
        assert_eq!(selected(&options.cases, 7).unwrap(), [2, 5, 6, 7]);
        assert!(selected(&options.cases, 6).is_err());
        assert_eq!(selected(&[], 3).unwrap(), [1, 2, 3]);
        for wrong in ["0", "7-5", "x", "1-", "-1"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
