//! A browser with a person: it sends the cookie and the forms that a page gave it.

use super::client::{Answer, hidden_fields, post_form, send};
use super::world::World;

pub(crate) const ACCEPT: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// The `name=value` of the cookie that an answer sets.
pub(crate) fn set_cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    cookie.unwrap_or_default().to_owned()
}

/// The form key of a page.
pub(crate) fn form_key(page: &Answer) -> String {
    let found = hidden_fields(&page.text()).into_iter().find(|(name, _)| name == "form_key");
    found.map(|(_, value)| value).unwrap_or_default()
}

/// A signed-in browser.
pub(crate) struct Browser<'w> {
    world: &'w World,
    pub(crate) cookie: String,
}

impl<'w> Browser<'w> {
    /// Loads the sign-in page and posts its form.
    pub(crate) fn try_sign_in(world: &World, email: &str, secret: &str, next: &str) -> Answer {
        let page = send(world.address(), "GET", &format!("/sign-in?next={next}"), &[ACCEPT], &[]);
        assert_eq!(page.status, 200, "{}", page.text());
        world.answer_page_from(&page, "/sign-in", [email, secret, ""], &[ACCEPT])
    }

    pub(crate) fn sign_in(world: &'w World, email: &str, secret: &str) -> Self {
        let answer = Self::try_sign_in(world, email, secret, "");
        assert_eq!(answer.status, 303, "{}", answer.text());
        Self { world, cookie: set_cookie(&answer) }
    }

    pub(crate) fn with_cookie(world: &'w World, cookie: String) -> Self {
        Self { world, cookie }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.world.address(), "GET", path, &[ACCEPT, ("Cookie", &self.cookie)], &[])
    }

    /// Posts a form of a page.
    pub(crate) fn post(&self, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (key, origin) = (form_key(page), format!("http://{}", self.world.address()));
        let mut all = vec![("form_key", key.as_str())];
        all.extend_from_slice(fields);
        let headers = [ACCEPT, ("Cookie", self.cookie.as_str()), ("Origin", origin.as_str())];
        post_form(self.world.address(), path, &headers, &all)
    }
}
