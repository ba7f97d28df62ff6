//! The tables as pictures, in `benches/plots`.

use std::{error::Error, fs, path::Path};

use plotters::prelude::*;

use crate::{
    hostile::{Hostile, worst_of_each},
    measure::{Measured, Spread},
    variant::BY_HAND,
};

/// Readable on a light page; for a dark one there is `STYLE`.
const OURS: RGBColor = RGBColor(9, 105, 218);
const OTHERS: RGBColor = RGBColor(140, 149, 159);

/// A picture on a page follows the reader's choice of light or dark.
const STYLE: &str = "<style>text{fill:#1f2328}line,polyline{stroke:#59636e}\
    @media (prefers-color-scheme:dark){text{fill:#f0f6fc}line,polyline{stroke:#9198a1}}</style>";

const WIDTH: u32 = 860;
const ROW: u32 = 26;

struct Bar {
    label: String,
    spread: Spread,
    color: RGBColor,
}

pub fn draw(measured: &Measured, hostile: &[Hostile]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    let drawn = fs::create_dir_all(&folder)
        .map_err(Into::into)
        .and_then(|()| times(&folder.join("request.svg"), measured))
        .and_then(|()| worst(&folder.join("hostile.svg"), hostile));
    match drawn {
        Ok(()) => println!("\ndrawn: {}", folder.display()),
        Err(why) => eprintln!("\nnot drawn: {why}"),
    }
}

fn times(file: &Path, measured: &Measured) -> Result<(), Box<dyn Error>> {
    let named = measured.names.iter().filter(|name| !measured.is_bare(name));
    let bars = named.map(|name| Bar {
        label: (*name).to_owned(),
        spread: measured.ratio(name, BY_HAND),
        color: match name.contains("layer") || name.starts_with("refused") {
            true => OURS,
            false => OTHERS,
        },
    });
    let title = "Overhead of a request over its bare service; 1 is a handler written by hand";
    bars_in(file, title, &bars.collect::<Vec<_>>())
}

fn worst(file: &Path, hostile: &[Hostile]) -> Result<(), Box<dyn Error>> {
    let bars = worst_of_each(hostile).map(|worst| {
        let kibibytes = worst.limit as f64 / 1024.0;
        let Spread {
            median,
            least,
            most,
        } = worst.accepts;
        Bar {
            label: format!("{}, {kibibytes} KiB", worst.product),
            spread: Spread {
                median: median / kibibytes,
                least: least / kibibytes,
                most: most / kibibytes,
            },
            color: OURS,
        }
    });
    let title = "The worst refused body a KiB; 1 is a voice that is accepted";
    bars_in(file, title, &bars.collect::<Vec<_>>())
}

fn bars_in(file: &Path, title: &str, bars: &[Bar]) -> Result<(), Box<dyn Error>> {
    let mut picture = String::new();
    paint(&mut picture, title, bars)?;
    let head = picture.find('>').map_or(0, |at| at + 1);
    picture.insert_str(head, STYLE);
    Ok(fs::write(file, picture)?)
}

fn paint(picture: &mut String, title: &str, bars: &[Bar]) -> Result<(), Box<dyn Error>> {
    let rows = bars.len() as i32;
    let size = (WIDTH, 80 + ROW * bars.len() as u32);
    let root = SVGBackend::with_string(picture, size).into_drawing_area();
    let most = bars.iter().map(|bar| bar.spread.most).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(250)
        .build_cartesian_2d(0.0..most * 1.05, (0..rows).into_segmented())?;
    let label = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(row) => bars.get((rows - 1 - row) as usize),
        SegmentValue::Exact(_) | SegmentValue::Last => None,
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(OTHERS.mix(0.3))
        .y_labels(bars.len())
        .y_label_formatter(&|at| label(at).map_or(String::new(), |bar| bar.label.clone()))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (row, bar) in (0..rows).rev().zip(bars) {
        let Spread {
            median,
            least,
            most,
        } = bar.spread;
        let corners = [
            (0.0, SegmentValue::Exact(row)),
            (median, SegmentValue::Exact(row + 1)),
        ];
        let mut rectangle = Rectangle::new(corners, bar.color.filled());
        rectangle.set_margin(5, 5, 0, 0);
        chart.draw_series([rectangle])?;
        let ends = [least, most].map(|end| (end, SegmentValue::CenterOf(row)));
        chart.draw_series([PathElement::new(ends, OTHERS.stroke_width(2))])?;
    }
    root.present()?;
    Ok(())
}
