//! Icons, drawn on a 16-pixel grid in the text's colour.

use yew::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IconName {
    /// Begin, run.
    Play,
    /// Hold.
    Pause,
    /// One step on.
    Step,
    /// More.
    Plus,
    /// Less.
    Minus,
    /// Show all.
    Fit,
    /// Done.
    Check,
    /// Not yet.
    Circle,
    /// Dark theme.
    Moon,
    /// Light theme.
    Sun,
    /// Away with it.
    Close,
    /// The lesson.
    Book,
    /// The map.
    Map,
    /// The table.
    Table,
    /// The terminal.
    Terminal,
    /// Details.
    Inspect,
    /// High contrast.
    Contrast,
    /// What goes wrong.
    Bolt,
    /// Commands.
    Command,
    /// Back to before.
    Undo,
    /// Another way from here.
    Fork,
    /// Clusters on the shelf.
    Shelf,
    /// Side by side.
    Columns,
    /// One step back.
    Back,
    /// What happened.
    Story,
}

impl IconName {
    fn path(self) -> &'static str {
        match self {
            Self::Play => "M4.5 2.8v10.4L13 8z",
            Self::Pause => "M5 3v10M11 3v10",
            Self::Step => "M3.5 3v10l6.5-5zM12.5 3v10",
            Self::Plus => "M8 3v10M3 8h10",
            Self::Minus => "M3 8h10",
            Self::Fit => "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
            Self::Check => "M3 8.5l3.2 3.2L13 4.6",
            Self::Circle => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11z",
            Self::Moon => "M13.2 9.8A5.7 5.7 0 0 1 6.2 2.8a5.7 5.7 0 1 0 7 7z",
            Self::Sun => {
                "M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8L13 13M13 3l-1.2 1.2M4.2 11.8L3 13"
            }
            Self::Close => "M3.5 3.5l9 9M12.5 3.5l-9 9",
            Self::Book => {
                "M8 4C6.5 2.8 4.5 2.5 2 2.5v10c2.5 0 4.5.3 6 1.5c1.5-1.2 3.5-1.5 6-1.5v-10c-2.5 0-4.5.3-6 1.5zM8 4v10"
            }
            Self::Map => "M2 4l4-1.5l4 1.5l4-1.5v10l-4 1.5l-4-1.5l-4 1.5zM6 2.5v10M10 4v10",
            Self::Table => "M2.5 3h11v10h-11zM2.5 6.5h11M6.5 6.5V13",
            Self::Terminal => "M2.5 4l4 4l-4 4M8.5 12.5h5",
            Self::Contrast => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM8 2.5v11M9.5 4v8M11.5 5.5v5",
            Self::Bolt => "M9 1.8L3.5 9H8l-1 5.2L12.5 7H8z",
            Self::Command => "M2.5 4.5h11M2.5 8h7M2.5 11.5h4.5M11 10l2 1.5l-2 1.5",
            Self::Undo => "M5.5 3L2.5 6l3 3M3 6h6.5a3.7 3.7 0 0 1 0 7.4H6",
            Self::Fork => "M4 2.5v11M4 8.5c4.5 0 7-1.5 7-5.5M8.8 5L11 2.6L13.2 5",
            Self::Shelf => "M2.5 3.5h11v3.2h-11zM2.5 9.3h11v3.2h-11zM5 5.1h2M5 10.9h2",
            Self::Back => "M12.5 3v10L6 8zM3.5 3v10",
            Self::Story => {
                "M3 2.5v11M8 2.5v11M13 2.5v11M3 5.2h5M6.4 3.8L8 5.2L6.4 6.6M8 10.6h5M11.4 9.2l1.6 1.4l-1.6 1.4"
            }
            Self::Columns => "M2.5 3h11v10h-11zM8 3v10",
            Self::Inspect => "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM10.3 10.3L14 14",
        }
    }
}

/// What an icon is given.
#[derive(Properties, PartialEq)]
pub struct IconProps {
    /// Which.
    pub name: IconName,
}

/// An icon. Whatever holds it has the words.
#[component]
pub fn Icon(props: &IconProps) -> Html {
    html! {
        <svg class="glyph" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d={props.name.path()} fill="none" stroke="currentColor" stroke-width="1.6"
                stroke-linecap="round" stroke-linejoin="round" />
        </svg>
    }
}
