//! Pods move from where they were to where they belong: they appear, travel and fade.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::geometry::Rect;
use super::layout::Layout;
use super::scene::{PodItem, PodState, Scene};

/// Time constants of the approach to the target, in milliseconds.
const MOVE_MS: f64 = 130.0;
const FADE_MS: f64 = 160.0;

/// A pod as it is drawn now.
#[derive(Clone, Debug)]
pub struct Sprite {
    /// What it shows.
    pub item: Rc<PodItem>,
    /// Where it is.
    pub rect: Rect,
    /// How visible it is, from 0 to 1.
    pub alpha: f64,
    target: Rect,
    leaving: bool,
}

/// All pods as they are drawn now, by key.
#[derive(Default)]
pub struct Motion {
    sprites: BTreeMap<String, Sprite>,
}

impl Motion {
    /// Takes over a new scene and layout. What is new grows out of the place where pods wait for a
    /// node; what is gone fades where it is.
    pub fn retarget(&mut self, scene: &Scene, layout: &Layout) {
        for sprite in self.sprites.values_mut() {
            sprite.leaving = true;
        }
        let first = self.sprites.is_empty();
        for item in scene.pods() {
            let Some(target) = layout.pods.get(&item.key).copied() else { continue };
            let born = if first { target.inset(target.w * 0.2) } else { birth_place(layout) };
            let sprite = self.sprites.entry(item.key.clone()).or_insert_with(|| Sprite {
                item: item.clone(),
                rect: born,
                alpha: 0.0,
                target,
                leaving: false,
            });
            sprite.item = item.clone();
            sprite.target = target;
            sprite.leaving = false;
        }
        for sprite in self.sprites.values_mut().filter(|sprite| sprite.leaving) {
            Rc::make_mut(&mut sprite.item).state = PodState::Terminating;
            sprite.target = sprite.target.inset(sprite.target.h * 0.2);
        }
    }

    /// Moves everything on by a time and says whether anything still moves.
    pub fn advance(&mut self, elapsed_ms: f64) -> bool {
        let moved = 1.0 - (-elapsed_ms / MOVE_MS).exp();
        let faded = 1.0 - (-elapsed_ms / FADE_MS).exp();
        let mut moving = false;
        self.sprites.retain(|_, sprite| {
            let goal = if sprite.leaving { 0.0 } else { 1.0 };
            sprite.rect = sprite.rect.towards(sprite.target, moved);
            sprite.alpha += (goal - sprite.alpha) * faded;
            if sprite.rect.near(sprite.target) && (sprite.alpha - goal).abs() < 0.02 {
                (sprite.rect, sprite.alpha) = (sprite.target, goal);
                return !sprite.leaving;
            }
            moving = true;
            true
        });
        moving
    }

    /// Puts everything at its target at once, for those who want no motion.
    pub fn settle(&mut self) {
        self.sprites.retain(|_, sprite| {
            (sprite.rect, sprite.alpha) = (sprite.target, 1.0);
            !sprite.leaving
        });
    }

    /// The pods, in key order.
    pub fn sprites(&self) -> impl Iterator<Item = &Sprite> {
        self.sprites.values()
    }

    /// A pod by its key.
    pub fn get(&self, key: &str) -> Option<&Sprite> {
        self.sprites.get(key)
    }
}

fn birth_place(layout: &Layout) -> Rect {
    let center = layout.tray.center();
    Rect::new(center.x - 8.0, center.y - 8.0, 16.0, 16.0)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::super::scene::tests::scene;
    use super::*;

    #[wasm_bindgen_test]
    fn pods_come_to_rest_and_the_gone_fade() {
        let mut motion = Motion::default();
        let full = scene(2, 3);
        motion.retarget(&full, &Layout::new(&full, 800.0, 500.0));
        while motion.advance(16.0) {}
        assert_eq!(motion.sprites().count(), 6);
        let fewer = scene(2, 2);
        motion.retarget(&fewer, &Layout::new(&fewer, 800.0, 500.0));
        assert_eq!(motion.sprites().count(), 6);
        while motion.advance(16.0) {}
        assert_eq!(motion.sprites().count(), 4);
        assert!(motion.sprites().all(|sprite| sprite.alpha == 1.0));
    }
}
