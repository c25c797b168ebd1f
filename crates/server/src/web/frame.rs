//! Frame of every page: title, navigation, stylesheet.

use super::{account, machines, missions, style};
use strum::{EnumIter, IntoEnumIterator};

/// A page of the navigation, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub(crate) enum Section {
    Missions,
    Machines,
    Rejected,
    Account,
}

impl Section {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Missions => missions::LIST,
            Self::Machines => machines::MACHINES,
            Self::Rejected => machines::REJECTED,
            Self::Account => account::ACCOUNT,
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Missions => "Missions",
            Self::Machines => "Machines",
            Self::Rejected => "Rejected",
            Self::Account => "Account",
        }
    }
}

/// The field `frame` of each page; [`super::SignedIn::frame`] makes it for a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) title: String,
    /// The signed-in person.
    pub(crate) person: Option<Person>,
    pub(crate) section: Option<Section>,
    /// Whether the navigation has a link to sign in.
    pub(crate) offers_sign_in: bool,
    /// A page with one form or message.
    pub(crate) is_narrow: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) form_key: String,
}

impl Frame {
    /// A page that asks for no data: a form or a message.
    pub(crate) fn narrow(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_narrow: true, ..Self::default() }
    }

    /// The value of a form's hidden field `form_key`.
    pub(crate) fn form_key(&self) -> &str {
        self.person.as_ref().map_or("", |person| &person.form_key)
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = Section> {
        Section::iter()
    }

    pub(crate) fn is_in(&self, section: &Section) -> bool {
        self.section.as_ref() == Some(section)
    }

    pub(crate) fn stylesheet(&self) -> &'static str {
        style::link()
    }
}
