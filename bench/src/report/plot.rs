//! A picture of each scenario: a bar for each server.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::markdown::short;
use super::{Measured, ratio};
use crate::measure::LoadSample;

const WIDTH: i32 = 800;
const TITLE_HEIGHT: i32 = 48;
const ROW_HEIGHT: i32 = 26;

/// From where to where bars reach; what stands left and right of them is text.
const BARS: (i32, i32) = (210, 610);

const SOCKEYE: RGBColor = RGBColor(0xC2, 0x41, 0x2C);
const REFERENCE: RGBColor = RGBColor(0x4A, 0x4A, 0x4A);
const OTHERS: RGBColor = RGBColor(0x9A, 0xA7, 0xB4);

struct Bar<'a> {
    peer: &'a str,
    value: f64,
    ratio: Option<f64>,
}

/// Draws a scenario into `folder`, if there is something to show.
pub(super) fn draw(measured: &Measured, reference: &str, folder: &Path) -> Result<()> {
    let (what, bars) = bars(measured, reference);
    let Some(longest) = bars
        .iter()
        .map(|bar| bar.value)
        .reduce(f64::max)
        .filter(|&longest| longest > 0.0)
    else {
        return Ok(());
    };
    let name = format!("{}.svg", measured.scenario);
    let path = folder.join(&name);
    let height = TITLE_HEIGHT + ROW_HEIGHT * bars.len() as i32 + 12;
    let root = SVGBackend::new(&path, (WIDTH as u32, height as u32)).into_drawing_area();
    let failed = |error| anyhow!("cannot draw {name}: {error}");
    root.fill(&WHITE).map_err(failed)?;
    let text = |size: i32, horizontal| {
        let style = TextStyle::from(("sans-serif", size).into_font()).color(&RGBColor(0x22, 0x22, 0x22));
        style.pos(Pos::new(horizontal, VPos::Center))
    };
    root.draw_text(
        &format!("{}: {what}", measured.scenario),
        &text(16, HPos::Left),
        (12, 22),
    )
    .map_err(failed)?;
    for (n, bar) in bars.iter().enumerate() {
        let top = TITLE_HEIGHT + ROW_HEIGHT * n as i32;
        let middle = top + ROW_HEIGHT / 2;
        let length = (f64::from(BARS.1 - BARS.0) * bar.value.max(0.0) / longest) as i32;
        let color = match bar.peer {
            peer if peer.starts_with("Sockeye") => SOCKEYE,
            peer if peer == reference => REFERENCE,
            _ => OTHERS,
        };
        root.draw_text(bar.peer, &text(13, HPos::Right), (BARS.0 - 10, middle))
            .map_err(failed)?;
        let corners = [(BARS.0, top + 4), (BARS.0 + length.max(1), top + ROW_HEIGHT - 4)];
        root.draw(&Rectangle::new(corners, color.filled()))
            .map_err(failed)?;
        let ratio = bar
            .ratio
            .map_or_else(String::new, |ratio| format!("  ({ratio:.2}×)"));
        let label = format!("{}{ratio}", short(bar.value));
        root.draw_text(&label, &text(13, HPos::Left), (BARS.0 + length + 8, middle))
            .map_err(failed)?;
    }
    root.present().map_err(failed)
}

/// What the bars mean, and one for each server that was measured.
fn bars<'a>(measured: &'a Measured, reference: &str) -> (&'static str, Vec<Bar<'a>>) {
    let beside = measured.row(reference);
    let mut idle = false;
    let bars = measured
        .rows
        .iter()
        .filter_map(|row| {
            idle |= row.idle.is_some();
            Some(Bar {
                peer: &row.peer,
                value: match row.idle {
                    Some(sample) => sample.resident,
                    None => row.middle(LoadSample::cpu_per_message)?,
                },
                ratio: beside.and_then(|beside| ratio(row, beside)),
            })
        })
        .collect();
    let what = if idle {
        "resident bytes per connection"
    } else {
        "µs of CPU time per message"
    };
    (what, bars)
}
