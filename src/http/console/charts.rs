//! Charts as SVG, of numbers and of our own words alone: that is why they may stand in a page as they are.

use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::{
    prelude::{ChartBuilder, Circle, IntoDrawingArea as _, LineSeries, RGBColor, Rectangle, SVGBackend},
    style::{Color as _, IntoFont as _, ShapeStyle},
};

/// The size that a chart is drawn at; a page scales it.
const SIZE: (u32, u32) = (900, 260);
/// How large its words are, in the same units.
const FONT: (&str, u32) = ("sans-serif", 15);
/// Axes; told apart from light and from dark grounds.
const AXIS: RGBColor = RGBColor(0x6b, 0x7d, 0x78);
/// Lines and bars: each stands out from a light and from a dark ground by 3 to 1.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x0f, 0x8a, 0x73),
    RGBColor(0x2f, 0x7f, 0xd0),
    RGBColor(0xc0, 0x43, 0x35),
    RGBColor(0xb0, 0x7a, 0x00),
    RGBColor(0x8e, 0x6b, 0xd0),
    RGBColor(0xc2, 0x52, 0x8f),
    RGBColor(0x6b, 0x7d, 0x78),
];

/// Numbers under one of our words.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) values: Vec<f64>,
}

/// A line for each series; `first` is what the first place on the x axis stands for, and each next one more.
pub(super) fn lines(name: &str, first: i32, series: &[Series], unit: &str) -> Markup {
    let places = series.iter().map(|one| one.values.len()).max().unwrap_or(0).max(2);
    let last = first + i32::try_from(places).unwrap_or(i32::MAX) - 1;
    let x = f64::from(first)..f64::from(last);
    let drawn = draw(x, top(series), unit, &|x| format!("{x:.0}"), &|chart| {
        for (one, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let points = (first..).zip(&one.values).map(|(x, y)| (f64::from(x), *y));
            let line = LineSeries::new(points, ShapeStyle { stroke_width: 2, ..colour.to_rgba().into() });
            chart.draw_series(line).ok()?;
        }
        Some(())
    });
    framed(name, series, drawn)
}

/// A group of bars for each label, one of each series.
pub(super) fn bars(name: &str, labels: &[String], series: &[Series], unit: &str) -> Markup {
    let groups = u32::try_from(labels.len()).unwrap_or(u32::MAX).max(1);
    let label = |x: &f64| {
        let place = labels.iter().enumerate().find(|(place, _)| (to_f64(*place) + 0.5 - x).abs() < 0.01);
        place.map(|(_, label)| label.clone()).unwrap_or_default()
    };
    let drawn = draw(0.0..f64::from(groups), top(series), unit, &label, &|chart| {
        let width = 0.8 / to_f64(series.len().max(1));
        for (which, (one, colour)) in series.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let bar = |(place, value): (usize, &f64)| {
                let left = to_f64(place) + 0.1 + width * to_f64(which);
                Rectangle::new([(left, 0.0), (left + width, *value)], colour.filled())
            };
            chart.draw_series(one.values.iter().enumerate().map(bar)).ok()?;
        }
        Some(())
    });
    framed(name, series, drawn)
}

/// A point for each value, in order; those of the first series are well, those of the second are not.
pub(super) fn points(name: &str, series: &[(&'static str, Vec<(usize, f64)>)], unit: &str) -> Markup {
    let all = || series.iter().flat_map(|(_, points)| points);
    let x = 0.0..to_f64(all().map(|(x, _)| *x).max().unwrap_or(1).max(1));
    let top = all().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    // The second stands out by colour and by size.
    let looks = [(COLOURS[0], 3), (COLOURS[2], 6)];
    let drawn = draw(x, top, unit, &|x| format!("{x:.0}"), &|chart| {
        for ((_, points), (colour, size)) in series.iter().zip(looks) {
            let dots = points.iter().map(|(x, y)| Circle::new((to_f64(*x), *y), size, colour.filled()));
            chart.draw_series(dots).ok()?;
        }
        Some(())
    });
    let names: Vec<(&str, RGBColor)> =
        series.iter().zip(looks).map(|((name, _), (colour, _))| (*name, colour)).collect();
    figure(name, &names, drawn)
}

type Chart<'a, 'b> = plotters::chart::ChartContext<
    'a,
    SVGBackend<'b>,
    plotters::coord::cartesian::Cartesian2d<
        plotters::coord::types::RangedCoordf64,
        plotters::coord::types::RangedCoordf64,
    >,
>;

fn draw(
    x: Range<f64>,
    top: f64,
    unit: &str,
    label: &dyn Fn(&f64) -> String,
    series: &dyn Fn(&mut Chart<'_, '_>) -> Option<()>,
) -> Option<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(x, 0.0..top)
            .ok()?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(AXIS)
            .label_style(FONT.into_font())
            .x_labels(15)
            .y_labels(5)
            .x_label_formatter(&|x| label(x))
            .y_label_formatter(&|y| if *y < 10.0 && y.fract() > 0.0 { format!("{y:.1}") } else { format!("{y:.0}") })
            .y_desc(unit)
            .draw()
            .ok()?;
        series(&mut chart)?;
        area.present().ok()?;
    }
    Some(svg)
}

fn framed(name: &str, series: &[Series], drawn: Option<String>) -> Markup {
    let names: Vec<(&str, RGBColor)> =
        series.iter().zip(COLOURS.iter().cycle()).map(|(one, colour)| (one.name, *colour)).collect();
    figure(name, &names, drawn)
}

fn figure(name: &str, names: &[(&str, RGBColor)], drawn: Option<String>) -> Markup {
    html! {
        figure {
            @match drawn {
                Some(svg) => div.wide tabindex="0" role="region" aria-label=(name) {
                    div.drawn role="img" aria-label=(format!("{name}; the numbers stand in the table below")) { (PreEscaped(svg)) }
                },
                None => p { "The chart could not be drawn; the numbers stand below." },
            }
            figcaption {
                (name)
                ul.keys {
                    @for (word, colour) in names {
                        li { svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true" { circle cx="6" cy="6" r="5" fill=(format!("rgb({},{},{})", colour.0, colour.1, colour.2)); } " " (word) }
                    }
                }
            }
        }
    }
}

/// A little above the highest value; at least 1.
fn top(series: &[Series]) -> f64 {
    series.iter().flat_map(|one| &one.values).copied().fold(1.0, f64::max) * 1.1
}

fn to_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
