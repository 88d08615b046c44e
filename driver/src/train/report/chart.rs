//! Charts as SVG images that take their colours from the page.

use super::text::{escape, scientific, short};

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
/// The height of a chart with slanted names below the axis.
const HIGHER: f64 = 306.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 468.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 234.0;

/// The largest number of points for which a line gets dots that show their values.
const DOTS: usize = 60;

/// The largest number of stretches of a line, and of bars beside each other,
/// that can be told apart.
const COLUMNS: usize = 480;

/// The number of colours of the page.
const COLOURS: usize = 10;

/// The way in which a line is drawn.
#[derive(Clone, Copy)]
pub(super) enum Stroke {
    Thin,
    /// Wide enough to be seen behind a thin line.
    Wide,
    Dashed,
}

pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) stroke: Stroke,
    /// The points; their numbers ascend.
    pub(super) points: Vec<(usize, f64)>,
}

/// A value that should not be exceeded, or that was predicted.
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) value: f64,
    /// Whether the value was exceeded: the line is then red.
    pub(super) exceeded: bool,
}

/// The scale of the vertical axis.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Linear, starting at 0.
    Zero,
    /// Linear, starting near the smallest value.
    Near,
    /// Like `Near`, but spanning at least 2, so that smaller differences look flat.
    Bits,
    /// Logarithmic, in decades.
    Log,
}

/// The parts that all charts have.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// A description of the chart for readers who cannot see it.
    pub(super) description: String,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) limit: Option<Limit>,
}

/// An axis. Its ends and ticks are in the unit of the axis: see [`Axis::map`].
struct Axis {
    min: f64,
    max: f64,
    ticks: Vec<(f64, String)>,
    unit: Unit,
}

enum Unit {
    /// Values are divided by a number.
    Linear(f64),
    /// Values are powers of ten.
    Log,
}

impl Axis {
    /// Creates an axis with ticks at 1, 2 or 5 times a power of ten for finite values.
    /// If `outer`, the first and last ticks enclose the values.
    fn linear(min: f64, max: f64, smallest_step: f64, outer: bool) -> Self {
        let (min, max) = if max > min {
            (min, max)
        } else {
            let wider = [min - min.abs().max(1.0) * 0.1, max + max.abs().max(1.0) * 0.1];
            wider.map(|end| end.clamp(-f64::MAX, f64::MAX)).into()
        };
        // The difference of the largest numbers is infinite, and a fifth of the smallest one is 0:
        // axes for such numbers have another unit.
        let largest = min.abs().max(max.abs());
        let power = if largest > 1e290 {
            20
        } else if largest < 1e-290 {
            -300
        } else {
            0
        };
        let unit = 10f64.powi(power);
        let (min, max, largest) = (min / unit, max / unit, largest / unit);
        // At a distance of far more than 10^12 steps from 0, all ticks would be the same number.
        let rough = ((max - min) / 5.0).max(smallest_step / unit).max(1e-12 * largest);
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|&step| step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * decade);
        let (first, last) = if outer {
            let first = (min / step + 1e-9).floor();
            (first, (max / step - 1e-9).ceil().max(first + 1.0))
        } else {
            ((min / step - 1e-9).ceil(), (max / step + 1e-9).floor())
        };
        let magnitude = |number: f64| (number.log10() + 1e-9).floor();
        let ticks = (0..(last - first + 1.0).max(0.0) as usize).map(|i| {
            let value = (first + i as f64) * step;
            let label = if power == 0 && (1e-6..1e7).contains(&largest) {
                let decimals = (-magnitude(step)).max(0.0) as usize;
                format!("{value:.decimals$}")
            } else {
                scientific(value, (magnitude(value.abs()) - magnitude(step)).max(0.0) as usize, power)
            };
            (value, label)
        });
        let ticks = ticks.collect();
        let (min, max) = if outer { (first * step, last * step) } else { (min, max) };
        Self { min, max, ticks, unit: Unit::Linear(unit) }
    }

    /// Creates an axis from one whole number to another, or around the number if both are the same.
    fn numbers(first: usize, last: usize) -> Self {
        let (min, max) = (first as f64, last as f64);
        let mut axis = Self::linear(min, max, 1.0, false);
        if min >= max {
            (axis.min, axis.max) = (min - 2.0 * beside(min), max + 2.0 * beside(max));
            axis.ticks.clear();
        }
        // There may also be no tick between numbers that are large and close.
        if axis.ticks.is_empty() {
            axis.ticks.push((min, first.to_string()));
        }
        axis
    }

    /// Creates an axis with ticks at powers of ten, for values above 0.
    fn log(min: f64, max: f64) -> Self {
        let first = min.log10().floor() as i32;
        let last = (max.log10().ceil() as i32).max(first + 1);
        let every = usize::try_from((last - first + 5) / 6).unwrap_or(1).max(1);
        let ticks = (first..=last).step_by(every).map(|power| (f64::from(power), format!("10{}", superscript(power))));
        Self { min: f64::from(first), max: f64::from(last), ticks: ticks.collect(), unit: Unit::Log }
    }

    /// Returns a value in the unit of the axis.
    fn map(&self, value: f64) -> f64 {
        match self.unit {
            Unit::Linear(unit) => value / unit,
            Unit::Log => value.log10(),
        }
    }

    /// Returns the place between two ends of a value in the unit of the axis.
    /// A value beyond an end is placed at that end, and NaN at the first.
    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let at = from + (to - from) * (value - self.min) / (self.max - self.min);
        if at.is_nan() { from } else { at.clamp(from.min(to), from.max(to)) }
    }

    fn x(&self, value: f64) -> f64 {
        self.place(self.map(value), LEFT, RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.place(self.map(value), BOTTOM, TOP)
    }
}

/// Returns half the distance at which numbers as large as this one can be told apart on an axis.
fn beside(number: f64) -> f64 {
    0.5f64.max(1e-12 * number)
}

/// Returns the number of steps for each bar, given the number of all steps. If it is more than 1,
/// a bar shows the longest of its steps.
pub(super) fn steps_per_bar(steps: usize) -> usize {
    steps.div_ceil(COLUMNS).max(1)
}

/// Thins out many points to those that can be seen: of every stretch the first, the lowest,
/// the highest and the last.
fn thinned(points: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let stretch = points.len().div_ceil(COLUMNS);
    if stretch <= 4 {
        return points.to_vec();
    }
    let seen = |stretch: &[(usize, f64)]| {
        let by_value = |&i: &usize, &j: &usize| stretch[i].1.total_cmp(&stretch[j].1);
        let all = 0..stretch.len();
        let ends = [all.clone().min_by(by_value), all.max_by(by_value)].map(Option::unwrap_or_default);
        let mut kept = [0, ends[0], ends[1], stretch.len() - 1].to_vec();
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(|i| stretch[i]).collect::<Vec<_>>()
    };
    points.chunks(stretch).flat_map(seen).collect()
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
    /// Draws lines over whole numbers, such as steps; returns an empty text if there are no points.
    pub(super) fn lines(self, scale: Scale, mut lines: Vec<Line>) -> String {
        for line in &mut lines {
            line.points.retain(|&(_, y)| y.is_finite() && (scale != Scale::Log || y > 0.0));
        }
        lines.retain(|line| !line.points.is_empty());
        if lines.is_empty() {
            return String::new();
        }
        let points = || lines.iter().flat_map(|line| &line.points);
        let numbers = || points().map(|p| p.0);
        let x = Axis::numbers(numbers().min().unwrap_or_default(), numbers().max().unwrap_or_default());
        let y = self.vertical(scale, points().map(|p| p.1));
        let mut body = String::new();
        for line in &lines {
            let seen = thinned(&line.points);
            let path: Vec<String> =
                seen.iter().map(|&(px, py)| format!("{:.1} {:.1}", x.x(px as f64), y.y(py))).collect();
            let (colour, stroke) = (line.colour % COLOURS, line.stroke.class());
            body += &format!(r#"<path class="line {stroke} s{colour}" d="M{}"/>"#, path.join("L"));
            if line.points.len() > DOTS || matches!(line.stroke, Stroke::Wide) && line.points.len() > 1 {
                continue;
            }
            for &(px, py) in &line.points {
                body += &format!(
                    r#"<circle class="dot s{colour}" cx="{:.1}" cy="{:.1}" r="2.6"><title>{} {px}: {} {}</title></circle>"#,
                    x.x(px as f64),
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
        // A single line with the name of the chart needs no legend.
        let legend = if lines.len() > 1 { lines.iter().map(key).collect() } else { Vec::new() };
        self.figure(&x, &y, &body, legend, false)
    }

    /// Draws stacked bars: for each number, such as a step, one value of each series.
    /// The numbers ascend. If there are more than [`steps_per_bar`] allows, each bar shows the
    /// values with the largest sum.
    pub(super) fn stacks(self, numbers: &[usize], series: &[(&str, &[f64])]) -> String {
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else { return String::new() };
        let mut x = Axis::numbers(first, last);
        let beside = beside(last as f64);
        (x.min, x.max) = (first as f64 - beside, last as f64 + beside);
        let totals: Vec<f64> = (0..numbers.len()).map(|i| series.iter().map(|(_, values)| values[i]).sum()).collect();
        let y = self.vertical(Scale::Zero, totals.iter().copied());
        let slot = (RIGHT - LEFT) * (2.0 * beside) / (x.max - x.min);
        // Gaps are left only where they can be seen. A bar remains visible where
        // numbers are far apart.
        let width = if slot > 6.0 { (slot * 0.8).min(60.0) } else { slot.max(0.5) };
        let indices: Vec<usize> = (0..numbers.len()).collect();
        // For each bar, the index whose values it shows, and the indices that it stands for.
        let bars: Vec<(usize, &[usize])> = indices
            .chunks(steps_per_bar(numbers.len()))
            .filter_map(|all| Some((*all.iter().max_by(|&&i, &&j| totals[i].total_cmp(&totals[j]))?, all)))
            .collect();
        let ends = |all: &[usize]| [x.x(numbers[all[0]] as f64), x.x(numbers[all[all.len() - 1]] as f64)];
        let mut below = vec![0.0; bars.len()];
        let mut body = String::new();
        for (colour, (_, values)) in series.iter().enumerate() {
            let bar = |(&(i, all), below): (&(usize, &[usize]), &mut f64)| {
                let bottom = y.y(*below);
                *below += values[i];
                let [from, to] = ends(all);
                let (left, top, width) = (from - width / 2.0, y.y(*below), to - from + width);
                format!("M{left:.2} {bottom:.2}V{top:.2}h{width:.2}V{bottom:.2}z")
            };
            let path: String = bars.iter().zip(&mut below).map(bar).collect();
            body += &format!(r#"<path class="bar s{}" d="{path}"/>"#, colour % COLOURS);
        }
        for &(i, all) in &bars {
            let [from, to] = ends(all);
            let of = if all.len() > 1 {
                format!(", the longest from {} to {}", numbers[all[0]], numbers[all[all.len() - 1]])
            } else {
                String::new()
            };
            body += &format!(
                r#"<rect class="hover" x="{:.2}" y="{TOP}" width="{:.2}" height="{}"><title>{} {}{of}: {} {}</title></rect>"#,
                from - slot / 2.0,
                to - from + slot,
                BOTTOM - TOP,
                escape(self.x),
                numbers[i],
                short(totals[i]),
                escape(self.y)
            );
        }
        let key = |(colour, (name, _)): (usize, &(&str, &[f64]))| {
            (format!(r#"<rect class="bar s{}" width="22" height="10" rx="2"/>"#, colour % COLOURS), (*name).to_owned())
        };
        let legend = series.iter().enumerate().map(key).collect();
        self.figure(&x, &y, &body, legend, false)
    }

    /// Draws a stair through named parts with a value and a number of marks each.
    pub(super) fn stairs(self, scale: Scale, parts: &[(String, f64, usize)], colour: usize) -> String {
        let y = self.vertical(scale, parts.iter().map(|part| part.1));
        let ticks = parts.iter().enumerate().map(|(i, part)| (i as f64 + 0.5, part.0.clone()));
        let x = Axis { min: 0.0, max: parts.len() as f64, ticks: ticks.collect(), unit: Unit::Linear(1.0) };
        let stair = parts.iter().enumerate().map(|(i, part)| format!("V{:.1}H{:.1}", y.y(part.1), x.x(i as f64 + 1.0)));
        let start = parts.first().map_or(BOTTOM, |part| y.y(part.1));
        let path: String = stair.collect();
        let mut body = format!(r#"<path class="line s{colour}" d="M{LEFT} {start:.1}{path}"/>"#);
        for (i, (name, value, marks)) in parts.iter().enumerate() {
            let (cx, cy) = (x.x(i as f64 + 0.5), y.y(*value));
            let label =
                if value.abs() < 1e7 { ((value * 100.0).round() / 100.0 + 0.0).to_string() } else { short(*value) };
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
        let all = values.chain(self.limit.as_ref().map(|limit| limit.value));
        let (min, max) = extent(all.filter(|&value| value.is_finite() && (scale != Scale::Log || value > 0.0)));
        let (min, max) = if min <= max { (min, max) } else { (1.0, 1.0) };
        match scale {
            Scale::Zero => {
                Axis::linear(min.min(0.0), if max > 0.0 { (max * 1.02).min(f64::MAX) } else { 1.0 }, 0.0, true)
            }
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
            let at = y.place(*value, BOTTOM, TOP);
            axes += &format!(r#"<path class="grid-line" d="M{LEFT} {at:.1}H{RIGHT}"/>"#);
            axes += &format!(r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 7.0, at + 4.5);
        }
        for (value, label) in &x.ticks {
            let (at, label) = (x.place(*value, LEFT, RIGHT), escape(label));
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
