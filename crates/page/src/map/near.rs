//! A pod seen from near: its whole name, its state in words, and each of its containers.

use super::draw::Frame;
use super::geometry::Rect;
use super::motion::Sprite;
use super::scene::PodState;

/// From this size on, in CSS pixels, a pod has room for it.
const WIDTH_MIN: f64 = 210.0;
const HEIGHT_MIN: f64 = 96.0;
/// Where its lines are, in CSS pixels from its upper edge, and how far its containers are apart.
const NAME: f64 = 20.0;
const STATE: f64 = 38.0;
const CONTAINERS: f64 = 60.0;
const CONTAINER: f64 = 36.0;
/// From a container's first line to its second.
const LINE: f64 = 15.0;
const MARGIN: f64 = 12.0;
/// How many times as large as at first words and lines become.
pub(super) const LARGER_MAX: f64 = 1.7;

impl Frame<'_> {
    /// Whether somebody has gone near enough to a pod.
    pub(super) fn is_near(&self, pod: Rect) -> bool {
        self.scale > 1.0 && pod.w * self.scale >= WIDTH_MIN && pod.h * self.scale >= HEIGHT_MIN && self.view.meets(pod)
    }

    /// The nearer, the more words; they are little larger, and stand where the pod can be seen.
    pub(super) fn pod_near(&self, sprite: &Sprite, color: &str) {
        let Sprite { item, rect, .. } = sprite;
        let larger = (rect.w * self.scale / WIDTH_MIN).min(rect.h * self.scale / HEIGHT_MIN);
        let unit = larger.clamp(1.0, LARGER_MAX) / self.scale;
        let (left, top) = (rect.x.max(self.view.x) + MARGIN * unit, rect.y.max(self.view.y));
        let room = rect.right().min(self.view.right()) - left - MARGIN * unit;
        let at = |pixels: f64| top + pixels * unit;
        let (ink, soft) = (&self.palette.ink, &self.palette.ink_soft);
        self.mono(&item.name, left, at(NAME), 12.5 * unit, ink, "left", room);
        let told = if item.state == PodState::Failing { &self.palette.bad } else { soft };
        self.words(item.state.label(), left, at(STATE), 11.5 * unit, 500, told, "left", room);
        let (indented, room) = (left + 18.0 * unit, room - 18.0 * unit);
        let containers = (self.containers)(&item.key);
        for (index, container) in containers.iter().enumerate() {
            let first = CONTAINERS + CONTAINER * index as f64;
            if at(first + LINE + MARGIN) > rect.bottom() {
                let more = format!("+{}", containers.len() - index);
                self.words(&more, indented + room, at(STATE), 11.5 * unit, 600, soft, "right", room);
                break;
            }
            let square = Rect::new(left, at(first - 5.0), 10.0 * unit, 10.0 * unit);
            self.container(container.state, square, color, unit);
            self.mono(&container.name, indented, at(first), 11.5 * unit, ink, "left", room);
            let words = match container.restarts {
                0 => container.image.clone(),
                restarts => format!("↻ {restarts} · {}", container.image),
            };
            self.words(&words, indented, at(first + LINE), 11.0 * unit, 400, soft, "left", room);
        }
    }
}
