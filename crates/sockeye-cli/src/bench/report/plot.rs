//! A picture of a run: latencies by percentile, and how they and the rate went over time.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::results::Results;
use super::words::{count, micros, three_digits};
use crate::bench::conduct::Findings;
use crate::bench::tally::Latencies;
use crate::error::Failure;

/// In pixels.
const SIZE: (u32, u32) = (960, 1080);
const BLUE_LINE: RGBColor = RGBColor(31, 119, 180);
const ORANGE_LINE: RGBColor = RGBColor(255, 127, 14);
const RED_LINE: RGBColor = RGBColor(214, 39, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
const FONT: (&str, u32) = ("sans-serif", 15);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Draws the picture as SVG.
pub(super) fn draw<S>(findings: &Findings<S>, results: &Results) -> Result<String, Failure> {
    let mut text = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.titled(&title(results), ("sans-serif", 19))?;
        let parts = area.split_evenly((3, 1));
        curves(&parts[0], findings)?;
        rate(&parts[1], results)?;
        over_time(&parts[2], results)?;
        area.present()?;
        Ok::<(), Box<dyn Error>>(())
    })();
    drawn.map_err(|error| Failure::new(format!("cannot draw: {error}")))?;
    Ok(text)
}

fn title(results: &Results) -> String {
    let load = &results.load;
    let mut title = format!(
        "sockeye bench {}, {} connections",
        results.scenario,
        count(load.connections as u64)
    );
    if let Some(messages) = &load.messages {
        title.push_str(&match messages.rate {
            Some(rate) => format!(", {} messages/s", count(rate as u64)),
            None => format!(", window {}", messages.window),
        });
        title.push_str(&format!(", {} bytes", count(messages.size as u64)));
    }
    title
}

/// The distribution: to the right, one in ten, hundred, thousand … is slower.
fn curves<S>(area: &Area<'_>, findings: &Findings<S>) -> Drawn {
    let all = [
        ("since due", &findings.latencies, BLUE_LINE),
        ("since sent", &findings.service, ORANGE_LINE),
    ];
    let curves: Vec<_> = all
        .into_iter()
        .filter(|(_, latencies, _)| !latencies.is_empty())
        .collect();
    let Some(width) = curves
        .iter()
        .map(|(_, latencies, _)| nines(latencies))
        .reduce(f64::max)
    else {
        return nothing(area);
    };
    let (low, high) = bounds(
        curves
            .iter()
            .flat_map(|(_, latencies, _)| [latencies.min(), latencies.max()]),
    );
    let mut chart = ChartBuilder::on(area)
        .caption("Latency by percentile", FONT)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..width, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_labels(nines_labels(width))
        .x_label_formatter(&|nines| percent(*nines))
        .y_label_formatter(&|nanos| micros(*nanos as u64))
        .draw()?;
    let several = curves.len() > 1;
    for (name, latencies, colour) in curves {
        let line = chart.draw_series(LineSeries::new(curve(latencies), colour.stroke_width(2)))?;
        if several {
            line.label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
    }
    if several {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(GRID)
            .draw()?;
    }
    Ok(())
}

/// Points of the distribution: how many nines, and the time.
fn curve(latencies: &Latencies) -> Vec<(f64, f64)> {
    let width = nines(latencies);
    let steps = 400;
    (0..=steps)
        .map(|step| {
            let nines = width * f64::from(step) / f64::from(steps);
            let quantile = 1.0 - 10_f64.powf(-nines);
            (nines, latencies.value_at_quantile(quantile).max(1) as f64)
        })
        .collect()
}

/// How many nines the rarest of so many has.
fn nines(latencies: &Latencies) -> f64 {
    (latencies.len() as f64).log10().max(1.0)
}

fn nines_labels(width: f64) -> usize {
    width.floor() as usize + 1
}

/// 0 nines are 0 %, one is 90 %, two are 99 %.
fn percent(nines: f64) -> String {
    let share = 100.0 * (1.0 - 10_f64.powf(-nines));
    let decimals = (nines.round() as usize).saturating_sub(2);
    format!("{share:.decimals$} %")
}

fn rate(area: &Area<'_>, results: &Results) -> Drawn {
    let points: Vec<_> = per_second(results);
    let Some(most) = points.iter().map(|(_, rate)| *rate).reduce(f64::max) else {
        return nothing(area);
    };
    let what = match results.scenario {
        "churn" => "Connections opened per second",
        "broadcast" => "Messages delivered per second",
        _ => "Messages received per second",
    };
    let mut chart = ChartBuilder::on(area)
        .caption(what, FONT)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end_of(results), 0.0..(most * 1.1).max(1.0))?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_label_formatter(&|seconds| format!("{} s", three_digits(*seconds)))
        .y_label_formatter(&|rate| count(*rate as u64))
        .draw()?;
    chart.draw_series(LineSeries::new(points, BLUE_LINE.stroke_width(2)))?;
    Ok(())
}

/// The rate in the middle of each interval. The last one may be short, or have nothing but what came late.
fn per_second(results: &Results) -> Vec<(f64, f64)> {
    let Some(length) = interval_length(results) else {
        return Vec::new();
    };
    results
        .intervals
        .iter()
        .filter(|interval| interval.start_s + length <= results.measured_s + length / 10.0)
        .map(|interval| (interval.start_s + length / 2.0, interval.received as f64 / length))
        .collect()
}

fn interval_length(results: &Results) -> Option<f64> {
    match results.intervals.as_slice() {
        [first, second, ..] => Some(second.start_s - first.start_s),
        _ => None,
    }
}

/// Where axes of time end: with room for the names of the lines.
fn end_of(results: &Results) -> f64 {
    let last = results.intervals.last().map_or(0.0, |interval| interval.start_s);
    (last + interval_length(results).unwrap_or_default()).max(0.001) * 1.1
}

fn over_time(area: &Area<'_>, results: &Results) -> Drawn {
    let half = interval_length(results).unwrap_or_default() / 2.0;
    let series = |pick: fn(&super::results::IntervalFacts) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = results.intervals.iter();
        points
            .filter_map(|interval| Some((interval.start_s + half, (pick(interval)? * 1000.0).max(1.0))))
            .collect()
    };
    let lines = [
        ("p50", series(|interval| interval.p50_us), BLUE_LINE),
        ("p99", series(|interval| interval.p99_us), ORANGE_LINE),
        ("max", series(|interval| interval.max_us), RED_LINE),
    ];
    if lines[0].1.is_empty() {
        return nothing(area);
    }
    let values = lines
        .iter()
        .flat_map(|(_, points, _)| points.iter().map(|(_, value)| *value as u64));
    let (low, high) = bounds(values);
    let mut chart = ChartBuilder::on(area)
        .caption("Latency over time", FONT)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end_of(results), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_label_formatter(&|seconds| format!("{} s", three_digits(*seconds)))
        .y_label_formatter(&|nanos| micros(*nanos as u64))
        .draw()?;
    for (name, points, colour) in lines {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(GRID)
        .draw()?;
    Ok(())
}

/// An axis that has all of these in it, from a tenth to ten times.
fn bounds(values: impl Iterator<Item = u64>) -> (f64, f64) {
    let (low, high) = values.fold((u64::MAX, 1), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let low = low.clamp(1, high) as f64;
    (low / 1.5, high as f64 * 1.5)
}

fn nothing(area: &Area<'_>) -> Drawn {
    area.draw_text("nothing was measured", &TextStyle::from(FONT), (40, 40))?;
    Ok(())
}
