//! Charts as SVG that takes its colours from the page.

use super::{escape, short};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
/// With slanted names below.
const HIGHER: f64 = 306.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 468.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 234.0;

/// Points to which a line gets dots that tell their values.
const DOTS: usize = 60;

/// Colours of the page.
const COLOURS: usize = 10;

/// How a line is drawn.
#[derive(Clone, Copy)]
pub(super) enum Stroke {
    Thin,
    /// To be seen behind a thin one.
    Wide,
    Dashed,
}

pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) stroke: Stroke,
    pub(super) points: Vec<(f64, f64)>,
}

/// A value that is not to be exceeded, or was predicted.
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) value: f64,
    /// Red.
    pub(super) exceeded: bool,
}

/// How the values go up.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// From 0.
    Zero,
    /// From near the smallest.
    Near,
    /// The same, but 2 at least: what differs by less is flat.
    Bits,
    /// Decades.
    Log,
}

/// What all charts have.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What is to be seen, for those who do not.
    pub(super) description: String,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) limit: Option<Limit>,
}

struct Axis {
    min: f64,
    max: f64,
    ticks: Vec<(f64, String)>,
    log: bool,
}

impl Axis {
    /// Ticks at 1, 2 or 5 times a power of ten, of which `outer` ones enclose the values.
    fn linear(min: f64, max: f64, smallest_step: f64, outer: bool) -> Self {
        let (min, max) =
            if max > min { (min, max) } else { (min - min.abs().max(1.0) * 0.1, max + max.abs().max(1.0) * 0.1) };
        let rough = ((max - min) / 5.0).max(smallest_step);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = if outer {
            ((min / step + 1e-9).floor(), (max / step - 1e-9).ceil())
        } else {
            ((min / step - 1e-9).ceil(), (max / step + 1e-9).floor())
        };
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
        let ticks = (0..=(last - first) as usize).map(|i| {
            let value = (first + i as f64) * step;
            (value, format!("{value:.decimals$}"))
        });
        let (min, max) = if outer { (first * step, last * step) } else { (min, max) };
        Self { min, max, ticks: ticks.collect(), log: false }
    }

    /// Ticks at powers of ten.
    fn log(min: f64, max: f64) -> Self {
        let first = min.log10().floor() as i32;
        let last = (max.log10().ceil() as i32).max(first + 1);
        let every = usize::try_from((last - first + 5) / 6).unwrap_or(1).max(1);
        let ticks = (first..=last).step_by(every).map(|power| (10f64.powi(power), format!("10{}", superscript(power))));
        Self { min: 10f64.powi(first), max: 10f64.powi(last), ticks: ticks.collect(), log: true }
    }

    /// Where a value is between two ends.
    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let f = |value: f64| if self.log { value.log10() } else { value };
        from + (to - from) * (f(value) - f(self.min)) / (f(self.max) - f(self.min))
    }

    fn x(&self, value: f64) -> f64 {
        self.place(value, LEFT, RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.place(value, BOTTOM, TOP)
    }
}

fn superscript(number: i32) -> String {
    let digit = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + (digit as u32 - '0' as u32)).unwrap_or(digit),
    };
    number.to_string().chars().map(digit).collect()
}

fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)))
}

impl Chart<'_> {
    /// Lines over whole numbers, such as steps; nothing if there are no points.
    pub(super) fn lines(self, scale: Scale, mut lines: Vec<Line>) -> String {
        for line in &mut lines {
            line.points.retain(|&(_, y)| y.is_finite() && (scale != Scale::Log || y > 0.0));
        }
        lines.retain(|line| !line.points.is_empty());
        if lines.is_empty() {
            return String::new();
        }
        let points = || lines.iter().flat_map(|line| &line.points);
        let (first, last) = extent(points().map(|p| p.0));
        let x = if first < last {
            Axis::linear(first, last, 1.0, false)
        } else {
            Axis { min: first - 1.0, max: first + 1.0, ticks: vec![(first, first.to_string())], log: false }
        };
        let y = self.vertical(scale, points().map(|p| p.1));
        let mut body = String::new();
        for line in &lines {
            let path: Vec<String> =
                line.points.iter().map(|&(px, py)| format!("{:.1} {:.1}", x.x(px), y.y(py))).collect();
            let (colour, stroke) = (line.colour % COLOURS, line.stroke.class());
            body += &format!(r#"<path class="line {stroke} s{colour}" d="M{}"/>"#, path.join("L"));
            if line.points.len() > DOTS || matches!(line.stroke, Stroke::Wide) && line.points.len() > 1 {
                continue;
            }
            for &(px, py) in &line.points {
                body += &format!(
                    r#"<circle class="dot s{colour}" cx="{:.1}" cy="{:.1}" r="2.6"><title>{} {px}: {} {}</title></circle>"#,
                    x.x(px),
                    y.y(py),
                    escape(self.x),
                    escape(&line.name),
                    short(py)
                );
            }
        }
        let key = |line: &Line| {
            let mark =
                format!(r#"<path class="line {} s{}" d="M1 5H21"/>"#, line.stroke.class(), line.colour % COLOURS);
            (mark, line.name.clone())
        };
        // One line that has the chart's name needs no legend.
        let legend = if lines.len() > 1 { lines.iter().map(key).collect() } else { Vec::new() };
        self.figure(&x, &y, &body, legend, false)
    }

    /// Stacked bars: for each number, such as a step, one value of each series.
    pub(super) fn stacks(self, numbers: &[usize], series: &[(String, Vec<f64>)]) -> String {
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else { return String::new() };
        let mut x = Axis::linear(first as f64, last as f64, 1.0, false);
        if first == last {
            x.ticks = vec![(first as f64, first.to_string())];
        }
        (x.min, x.max) = (first as f64 - 0.5, last as f64 + 0.5);
        let totals: Vec<f64> = (0..numbers.len()).map(|i| series.iter().map(|(_, values)| values[i]).sum()).collect();
        let y = self.vertical(Scale::Zero, totals.iter().copied());
        let slot = (RIGHT - LEFT) / (x.max - x.min);
        // Gaps where they can be seen.
        let width = if slot > 6.0 { (slot * 0.8).min(60.0) } else { slot };
        let mut below = vec![0.0; numbers.len()];
        let mut body = String::new();
        for (colour, (_, values)) in series.iter().enumerate() {
            let bar = |((&number, below), value): ((&usize, &mut f64), &f64)| {
                let bottom = y.y(*below);
                *below += value;
                let (left, top) = (x.x(number as f64) - width / 2.0, y.y(*below));
                format!("M{left:.2} {bottom:.2}V{top:.2}h{width:.2}V{bottom:.2}z")
            };
            let path: String = numbers.iter().zip(&mut below).zip(values).map(bar).collect();
            body += &format!(r#"<path class="bar s{}" d="{path}"/>"#, colour % COLOURS);
        }
        for (&number, total) in numbers.iter().zip(&totals) {
            body += &format!(
                r#"<rect class="hover" x="{:.2}" y="{TOP}" width="{slot:.2}" height="{}"><title>{} {number}: {} {}</title></rect>"#,
                x.x(number as f64) - slot / 2.0,
                BOTTOM - TOP,
                escape(self.x),
                short(*total),
                escape(self.y)
            );
        }
        let key = |(colour, (name, _)): (usize, &(String, Vec<f64>))| {
            (format!(r#"<rect class="bar s{}" width="22" height="10" rx="2"/>"#, colour % COLOURS), name.clone())
        };
        let legend = series.iter().enumerate().map(key).collect();
        self.figure(&x, &y, &body, legend, false)
    }

    /// A stair through named parts with a value and a number of marks each.
    pub(super) fn stairs(self, scale: Scale, parts: &[(String, f64, usize)], colour: usize) -> String {
        let y = self.vertical(scale, parts.iter().map(|part| part.1));
        let ticks = parts.iter().enumerate().map(|(i, part)| (i as f64 + 0.5, part.0.clone()));
        let x = Axis { min: 0.0, max: parts.len() as f64, ticks: ticks.collect(), log: false };
        let stair = parts.iter().enumerate().map(|(i, part)| format!("V{:.1}H{:.1}", y.y(part.1), x.x(i as f64 + 1.0)));
        let start = parts.first().map_or(BOTTOM, |part| y.y(part.1));
        let path: String = stair.collect();
        let mut body = format!(r#"<path class="line s{colour}" d="M{LEFT} {start:.1}{path}"/>"#);
        for (i, (name, value, marks)) in parts.iter().enumerate() {
            let (cx, cy) = (x.x(i as f64 + 0.5), y.y(*value));
            let label = ((value * 100.0).round() / 100.0).to_string();
            if 8.0 * label.len() as f64 <= x.x(1.0) - x.x(0.0) {
                let above = cy - 6.0;
                body +=
                    &format!(r#"<text class="value" x="{cx:.1}" y="{above:.1}" text-anchor="middle">{label}</text>"#);
            }
            if *marks > 0 {
                let name = escape(name);
                body += &format!(
                    r#"<g transform="translate({cx:.1} {cy:.1})"><title>{name}: {marks} bootstraps</title><path class="bar s1" d="M-9 5l6 10h-12z"/><text x="0" y="15">×{marks}</text></g>"#
                );
            }
        }
        let marked = parts.iter().any(|part| part.2 > 0);
        let legend =
            marked.then(|| (r#"<path class="bar s1" d="M11 0l6 10h-12z"/>"#.to_owned(), "bootstraps".to_owned()));
        self.figure(&x, &y, &body, legend.into_iter().collect(), true)
    }

    fn vertical(&self, scale: Scale, values: impl Iterator<Item = f64>) -> Axis {
        let (min, max) = extent(values.chain(self.limit.as_ref().map(|limit| limit.value)));
        match scale {
            Scale::Zero => Axis::linear(0.0, if max > 0.0 { max * 1.02 } else { 1.0 }, 0.0, true),
            Scale::Near => Axis::linear(min, max, 0.0, true),
            Scale::Bits => {
                Axis::linear(min.min(f64::midpoint(min, max) - 1.0), max.max(f64::midpoint(min, max) + 1.0), 0.0, true)
            }
            Scale::Log => Axis::log(min, max),
        }
    }

    fn figure(self, x: &Axis, y: &Axis, body: &str, legend: Vec<(String, String)>, slanted: bool) -> String {
        let mut axes = String::new();
        for (value, label) in &y.ticks {
            let at = y.y(*value);
            axes += &format!(r#"<path class="grid-line" d="M{LEFT} {at:.1}H{RIGHT}"/>"#);
            axes += &format!(r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 7.0, at + 4.5);
        }
        for (value, label) in &x.ticks {
            let (at, label) = (x.x(*value), escape(label));
            axes += &format!(r#"<path class="axis" d="M{at:.1} {BOTTOM}v4"/>"#);
            axes += &if slanted {
                let top = BOTTOM + 14.0;
                format!(r#"<text transform="translate({at:.1} {top})rotate(-35)" text-anchor="end">{label}</text>"#)
            } else {
                format!(r#"<text x="{at:.1}" y="{}" text-anchor="middle">{label}</text>"#, BOTTOM + 19.0)
            };
        }
        axes += &format!(r#"<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>"#);
        axes += &format!(r#"<text x="2" y="13">{}</text>"#, escape(self.y));
        let middle = f64::midpoint(LEFT, RIGHT);
        let height = if slanted { HIGHER } else { HEIGHT };
        axes += &format!(r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#, height - 6.0, escape(self.x));
        let limit = self.limit.map_or_else(String::new, |limit| {
            let at = y.y(limit.value);
            let (name, class) = (escape(&limit.name), if limit.exceeded { "limit exceeded" } else { "limit" });
            format!(
                r#"<g class="{class}"><path class="halo" d="M{LEFT} {at:.1}H{RIGHT}"/><path d="M{LEFT} {at:.1}H{RIGHT}"/><text x="{RIGHT}" y="{:.1}" text-anchor="end">{name}</text></g>"#,
                at - 5.0
            )
        });
        let (title, description) = (escape(self.title), escape(&self.description));
        let keys: String = legend
            .iter()
            .map(|(mark, name)| {
                let name = escape(name);
                format!(r#"<li><svg viewBox="0 0 22 10" aria-hidden="true">{mark}</svg>{name}</li>"#)
            })
            .collect();
        let legend = if keys.is_empty() { keys } else { format!(r#"<ul class="legend">{keys}</ul>"#) };
        format!(
            r#"<figure class="card"><figcaption><strong>{title}</strong></figcaption>{legend}
<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg"><title>{title}</title><desc>{description}</desc>
{axes}
{body}{limit}</svg></figure>
"#
        )
    }
}

impl Stroke {
    const fn class(self) -> &'static str {
        match self {
            Self::Thin => "thin",
            Self::Wide => "wide",
            Self::Dashed => "dashed",
        }
    }
}
