//! Latencies in the formats of HdrHistogram.

use std::fmt::{Display, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::bench::conduct::{Findings, Span};
use crate::bench::tally::Latencies;
use crate::error::Failure;

/// The content of a file of this name: percentiles for `.hgrm`, else an interval log.
pub(super) fn of<S>(path: &Path, findings: &Findings<S>) -> Result<Vec<u8>, Failure> {
    if path.extension().is_some_and(|extension| extension == "hgrm") {
        return Ok(percentiles(&findings.latencies).into_bytes());
    }
    log(
        &findings.intervals,
        findings.counts_from.into(),
        findings.interval,
    )
    .map_err(|why| Failure::new(format!("cannot write {}: {why}", path.display())))
}

/// The distribution by percentiles, in microseconds, as `HdrHistogram`'s plotter takes it.
fn percentiles(latencies: &Latencies) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in latencies.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = micros(step.value_iterated_to());
        let _ = write!(text, "{value:>12} {quantile:>14.12} {total:>10}");
        let _ = match quantile {
            ..1.0 => writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile)),
            _ => writeln!(text),
        };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n#[Max     = {:>12}, Total count    = {:>12}]",
        latencies.mean() / 1000.0,
        latencies.stdev() / 1000.0,
        micros(latencies.max()),
        latencies.len()
    );
    text
}

fn micros(nanos: u64) -> String {
    format!("{:.3}", nanos as f64 / 1000.0)
}

/// An interval log, version 2, values in nanoseconds, their maxima in milliseconds.
fn log(intervals: &[Span], from: SystemTime, length: Duration) -> Result<Vec<u8>, impl Display> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let written = (|| {
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[sockeye bench: values are nanoseconds]")
            .with_start_time(from)
            .with_base_time(from)
            .with_max_value_divisor(1e6)
            .begin_log_with(&mut bytes, &mut serializer)
            .map_err(|error| error.to_string())?;
        for (index, span) in intervals.iter().enumerate() {
            let start = length * u32::try_from(index).unwrap_or(u32::MAX);
            log.write_histogram(&span.latencies, start, length, None)
                .map_err(|error| format!("{error:?}"))?;
        }
        Ok::<(), String>(())
    })();
    written.map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::bench::tally::latencies;

    fn some(times: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = latencies();
        for time in times {
            latencies.saturating_record(time);
        }
        latencies
    }

    #[test]
    fn an_interval_log_is_read_back() {
        let spans = [some([1000, 2000]), some([]), some([5_000_000])].map(|latencies| Span {
            received: latencies.len(),
            latencies,
        });
        let bytes =
            log(&spans, SystemTime::now(), Duration::from_millis(200)).map_err(|error| error.to_string());
        let bytes = bytes.unwrap();
        let mut found = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            if let Ok(LogEntry::Interval(interval)) = entry {
                let encoded = STANDARD.decode(interval.encoded_histogram()).unwrap();
                let read: Latencies = Deserializer::new().deserialize(&mut &encoded[..]).unwrap();
                found.push((interval.start_timestamp().as_millis(), read.len(), read.max()));
            }
        }
        let max = spans.each_ref().map(|span| span.latencies.max());
        assert_eq!(found, [(0, 2, max[0]), (200, 0, 0), (400, 1, max[2])]);
    }

    #[test]
    fn percentiles_rise_to_the_greatest_time() {
        let latencies = some((1..=1000).map(|number| number * 1000));
        let text = percentiles(&latencies);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|cell| cell.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(
            rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]),
            "{text}"
        );
        let last = rows.last().unwrap();
        assert_eq!((last[1], last[2]), (1.0, 1000.0));
        assert!(
            (last[0] - 1000.0).abs() < 1.0 && text.contains("Total count    =         1000"),
            "{text}"
        );
    }
}
