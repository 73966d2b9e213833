//! Pictures of how followers grow with the group: for each kind of commit their time as a multiple of the floor, both axes
//! logarithmic.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use crate::{
    figures::{Figures, Of},
    followers::Which,
    numbers::grouped,
    options::Options,
    scene::Kind,
};

/// Writes the pictures into a folder.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = options.into.as_ref().context("--into says where the pictures go")?;
    for (name, picture) in pictures(&Figures::of_files(&options.files)?)? {
        std::fs::write(folder.join(&name), picture).with_context(|| name.clone())?;
    }
    Ok(())
}

/// The names of the pictures, and the pictures: one for each shape of tree.
pub(crate) fn pictures(figures: &Figures) -> Result<Vec<(String, String)>> {
    let picture = |tree: &str| Ok((format!("following-{tree}.svg"), picture(figures, tree)?));
    ["warm", "bare"].into_iter().map(picture).collect()
}

const WIDTH: f64 = 930.0;
const PANELS_IN_A_ROW: usize = 3;
/// From one panel to the next.
const PANEL_STEP: (f64, f64) = (305.0, 250.0);
/// The area of a panel in which lines are drawn.
const AREA: (f64, f64) = (250.0, 180.0);
/// Where the first area begins.
const FIRST: (f64, f64) = (50.0, 70.0);
/// Decades of the vertical axis, from 1 on.
const DECADES: i32 = 4;
/// Powers of two at the ends of the horizontal axis.
const MEMBERS_LOG2: (f64, f64) = (2.5, 15.5);
/// The goal, as a multiple of the floor.
const GOAL: f64 = 1.6;

/// Point by point from left to right.
type Line = Vec<(u32, f64)>;

/// How a follower's line looks: its colour and its dashes.
fn look(which: Which) -> (&'static str, &'static str) {
    match which {
        Which::Ours => ("#0072b2", "none"),
        Which::OpenMls => ("#d55e00", "none"),
        Which::OpenMlsJson => ("#d55e00", "5 4"),
        Which::MlsRs => ("#009e73", "none"),
        Which::MlsRsAwsLc => ("#009e73", "5 4"),
    }
}

fn picture(figures: &Figures, tree: &str) -> Result<String> {
    let subjects: Vec<&Of> = figures.subjects("following").into_iter().filter(|of| of.tree == tree).collect();
    ensure!(!subjects.is_empty(), "there are no figures of {tree} trees");
    let mut panels = Vec::new();
    for kind in Kind::ALL {
        let mut of_kind: Vec<&Of> = subjects.iter().copied().filter(|of| of.commit == kind.name()).collect();
        of_kind.sort_by_key(|of| of.members);
        let line = |which: &Which| -> Line {
            let point = |of: &&Of| Some((of.members, figures.value(of, which.name(), "floors")?));
            of_kind.iter().filter_map(point).collect()
        };
        let lines: Vec<(Which, Line)> = Which::ALL
            .iter()
            .map(|which| (*which, line(which)))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        if !lines.is_empty() {
            panels.push((kind, lines));
        }
    }
    let rows = panels.len().div_ceil(PANELS_IN_A_ROW);
    let height = FIRST.1 + rows as f64 * PANEL_STEP.1 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <title>Following a commit, {tree} trees: time as a multiple of the floor</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{}\" y=\"24\" font-size=\"14\">Following a commit, {tree} trees: \
         time as a multiple of the floor, by members</text>\n",
        FIRST.0
    );
    legend(&mut svg, &panels)?;
    for (number, (kind, lines)) in panels.iter().enumerate() {
        let left = FIRST.0 + (number % PANELS_IN_A_ROW) as f64 * PANEL_STEP.0;
        let top = FIRST.1 + (number / PANELS_IN_A_ROW) as f64 * PANEL_STEP.1;
        writeln!(svg, "<g transform=\"translate({left} {top})\">")?;
        frame(&mut svg, kind.name(), lines)?;
        lines.iter().try_for_each(|(which, line)| draw(&mut svg, *which, line))?;
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Who is who, once for all panels.
fn legend(svg: &mut String, panels: &[(Kind, Vec<(Which, Line)>)]) -> Result<()> {
    let drawn = |which: &Which| panels.iter().any(|(_, lines)| lines.iter().any(|(drawn, _)| drawn == which));
    for (place, which) in Which::ALL.into_iter().filter(drawn).enumerate() {
        let (colour, dashes) = look(which);
        let left = FIRST.0 + 130.0 * place as f64;
        writeln!(
            svg,
            "<path d=\"M{left} 41h26\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\
             <text x=\"{}\" y=\"45\">{}</text>",
            left + 32.0,
            which.name()
        )?;
    }
    Ok(())
}

fn across(members: u32) -> f64 {
    (f64::from(members).log2() - MEMBERS_LOG2.0) / (MEMBERS_LOG2.1 - MEMBERS_LOG2.0) * AREA.0
}

fn up(floors: f64) -> f64 {
    AREA.1 * (1.0 - floors.log10() / f64::from(DECADES))
}

/// The name of a panel, its axes, and the goal.
fn frame(svg: &mut String, name: &str, lines: &[(Which, Line)]) -> Result<()> {
    let (right, bottom) = AREA;
    writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"-6\" text-anchor=\"middle\" font-weight=\"bold\">{name}</text>",
        right / 2.0
    )?;
    for decade in 0..=DECADES {
        let height = up(10f64.powi(decade));
        writeln!(
            svg,
            "<path d=\"M0 {height:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"-5\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            height + 4.0,
            grouped(10usize.pow(decade.unsigned_abs()))
        )?;
    }
    let mut sizes: Vec<u32> = lines.iter().flat_map(|(_, line)| line).map(|(members, _)| *members).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for size in sizes {
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            across(size),
            bottom + 15.0,
            grouped(size as usize)
        )?;
    }
    writeln!(
        svg,
        "<rect width=\"{right}\" height=\"{bottom}\" fill=\"none\" stroke=\"#888\"/>\
         <path d=\"M0 {0:.1}H{right}\" stroke=\"#888\" stroke-dasharray=\"2 3\"/>\
         <text x=\"{1:.1}\" y=\"{2:.1}\" text-anchor=\"end\" font-size=\"9\" fill=\"#666\">goal: {GOAL}</text>",
        up(GOAL),
        right - 4.0,
        up(GOAL) - 3.0
    )?;
    Ok(())
}

fn draw(svg: &mut String, which: Which, line: &Line) -> Result<()> {
    let (colour, dashes) = look(which);
    let points: Vec<(f64, f64)> =
        line.iter().map(|(members, floors)| (across(*members), up(*floors))).collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        path.join(" ")
    )?;
    for (x, y) in points {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_panel_for_each_kind_and_a_point_for_each_figure() {
        let mut figures = Figures::default();
        let lines = "\
            following,warm,8,update,ours,floors,1\nfollowing,warm,32768,update,ours,floors,100\n\
            following,warm,8,resync,mls-rs,floors,10\nfollowing,bare,8,remove,ours,floors,1\n";
        figures.take(lines).unwrap();
        let pictures = pictures(&figures).unwrap();
        let (name, warm) = &pictures[0];
        assert_eq!(name, "following-warm.svg");
        assert_eq!(warm.matches("<g ").count(), 2);
        assert_eq!(warm.matches("<circle").count(), 3);
        assert!(warm.contains("points=\"9.6,180.0 240.4,90.0\""), "two decades are half the height: {warm}");
        assert!(warm.contains(">resync</text>") && !warm.contains(">remove</text>"));
        assert_eq!(warm.matches("<g ").count(), warm.matches("</g>").count());
    }
}
