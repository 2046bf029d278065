//! A picture of a run: latencies by percentile, and how they and the rate went over time.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::results::Results;
use super::words::count;
use crate::bench::conduct::Findings;
use crate::bench::tally::Latencies;
use crate::error::Failure;

/// In pixels: the picture, its title, each of its charts.
const WIDTH: u32 = 960;
const TITLE: u32 = 36;
const CHART: u32 = 348;
const BLUE_LINE: RGBColor = RGBColor(31, 119, 180);
const ORANGE_LINE: RGBColor = RGBColor(255, 127, 14);
const RED_LINE: RGBColor = RGBColor(214, 39, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
const FONT: (&str, u32) = ("sans-serif", 15);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;
type Chart<'a> = Box<dyn Fn(&Area<'_>) -> Drawn + 'a>;

/// Draws the picture as SVG.
pub(super) fn draw<S>(findings: &Findings<S>, results: &Results) -> Result<String, Failure> {
    let charts = charts(findings, results);
    let height = TITLE + CHART * charts.len() as u32;
    let mut text = String::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.titled(&title(results), ("sans-serif", 19))?;
        for (part, chart) in area.split_evenly((charts.len(), 1)).iter().zip(&charts) {
            chart(part)?;
        }
        area.present()?;
        Ok::<(), Box<dyn Error>>(())
    })();
    drawn.map_err(|error| Failure::new(format!("cannot draw: {error}")))?;
    Ok(text)
}

/// Those that there is something to show in.
fn charts<'a, S>(findings: &'a Findings<S>, results: &'a Results) -> Vec<Chart<'a>> {
    let mut charts: Vec<Chart<'a>> = Vec::new();
    let answers = [
        ("since due", &findings.latencies, BLUE_LINE),
        ("since sent", &findings.service, ORANGE_LINE),
    ];
    let answers: Vec<_> = answers
        .into_iter()
        .filter(|(_, latencies, _)| !latencies.is_empty())
        .collect();
    if !answers.is_empty() {
        charts.push(Box::new(move |area| {
            curves(area, "Latency by percentile", &answers)
        }));
    } else if !findings.opening.is_empty() {
        // Connections that do nothing have been opened, at least.
        let opening = [("opening", &findings.opening, BLUE_LINE)];
        charts.push(Box::new(move |area| {
            curves(area, "Opening by percentile", &opening)
        }));
    }
    let points = per_second(results);
    if points.iter().any(|(_, rate)| *rate > 0.0) {
        charts.push(Box::new(move |area| rate(area, results, &points)));
    }
    if results.intervals.iter().any(|interval| interval.p50_us.is_some()) {
        charts.push(Box::new(move |area| over_time(area, results)));
    }
    if charts.is_empty() {
        charts.push(Box::new(nothing));
    }
    charts
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

/// Distributions: to the right, one in ten, hundred, thousand … is slower.
fn curves(area: &Area<'_>, caption: &str, curves: &[(&str, &Latencies, RGBColor)]) -> Drawn {
    let width = curves
        .iter()
        .map(|(_, latencies, _)| nines(latencies))
        .fold(1.0, f64::max);
    let (low, high) = bounds(
        curves
            .iter()
            .flat_map(|(_, latencies, _)| [latencies.min(), latencies.max()]),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(caption, FONT)
        .margin(12)
        // The last label may lie on the edge.
        .margin_right(36)
        .x_label_area_size(34)
        .y_label_area_size(80)
        .build_cartesian_2d(
            0.0..width,
            (low..high).log_scale().with_key_points(ticks(low, high)),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_labels(nines_labels(width))
        .x_label_formatter(&|nines| percent(*nines))
        .y_label_formatter(&|nanos| tick(*nanos))
        .draw()?;
    let several = curves.len() > 1;
    for (name, latencies, colour) in curves.iter().copied() {
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

fn rate(area: &Area<'_>, results: &Results, points: &[(f64, f64)]) -> Drawn {
    let most = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
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
        .build_cartesian_2d(0.0..end_of(results), 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_label_formatter(&|seconds| format!("{} s", short(*seconds)))
        .y_label_formatter(&|rate| {
            if most < 10.0 {
                short(*rate)
            } else {
                count(*rate as u64)
            }
        })
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), BLUE_LINE.stroke_width(2)))?;
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

/// Where axes of time end: with what was measured.
fn end_of(results: &Results) -> f64 {
    results.measured_s.max(0.001)
}

fn over_time(area: &Area<'_>, results: &Results) -> Drawn {
    let (half, end) = (
        interval_length(results).unwrap_or_default() / 2.0,
        end_of(results),
    );
    let series = |pick: fn(&super::results::IntervalFacts) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = results.intervals.iter();
        points
            // Behind the end there is only what came late.
            .filter(|interval| interval.start_s + half <= end)
            .filter_map(|interval| Some((interval.start_s + half, (pick(interval)? * 1000.0).max(1.0))))
            .collect()
    };
    let lines = [
        ("p50", series(|interval| interval.p50_us), BLUE_LINE),
        ("p99", series(|interval| interval.p99_us), ORANGE_LINE),
        ("max", series(|interval| interval.max_us), RED_LINE),
    ];
    let values = lines
        .iter()
        .flat_map(|(_, points, _)| points.iter().map(|(_, value)| *value as u64));
    let (low, high) = bounds(values);
    // Above the lines there is room for their names.
    let high = high * (high / low).powf(0.4);
    let mut chart = ChartBuilder::on(area)
        .caption("Latency over time", FONT)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(80)
        .build_cartesian_2d(
            0.0..end,
            (low..high).log_scale().with_key_points(ticks(low, high)),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .x_label_formatter(&|seconds| format!("{} s", short(*seconds)))
        .y_label_formatter(&|nanos| tick(*nanos))
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

/// Where an axis from here to there is marked: often enough to be read, seldom enough that no label touches another.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = match (high / low).log10() {
        ..1.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        ..2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    // Of bounds in nanoseconds, which are 1 at least but for their margin.
    (0..=high.log10().max(0.0) as i32)
        .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

/// A time on an axis, in nanoseconds: `20 µs`.
fn tick(nanos: f64) -> String {
    let (value, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", short(value))
}

/// A number without digits that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn nothing(area: &Area<'_>) -> Drawn {
    area.draw_text("nothing was measured", &TextStyle::from(FONT), (40, 40))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_an_axis_keep_apart() {
        // A chart is some 270 pixels high, and a label 12.
        let table = [
            (7.0, 16.0),
            (1.0, 9.0),
            (400.0, 30e3),
            (20e3, 300e6),
            (1.0, 60e9),
            (0.7, 1.5),
        ];
        for (low, high) in table {
            let ticks = ticks(low, high);
            assert!(!ticks.is_empty(), "{low} to {high}");
            for pair in ticks.windows(2) {
                let pixels = 270.0 * (pair[1] / pair[0]).log10() / (high / low).log10();
                assert!(pixels > 14.0, "{low} to {high}: {pair:?} are {pixels} apart");
            }
        }
    }

    #[test]
    fn labels_have_the_digits_that_say_something() {
        for (nanos, text) in [
            (1.0, "1 ns"),
            (20e3, "20 µs"),
            (1.5e6, "1.5 ms"),
            (500e6, "500 ms"),
            (2e9, "2 s"),
        ] {
            assert_eq!(tick(nanos), text);
        }
        assert_eq!((short(0.0), short(12.5)), ("0".to_owned(), "12.5".to_owned()));
    }
}
