//! The form of both approval pages: for a device, and for a login in this browser.

use super::Frame;
use askama::Template;

/// Content of an approval page.
#[derive(Debug, Default, Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage<'a> {
    pub(crate) frame: Frame,
    /// Target of the form.
    pub(crate) action: &'a str,
    pub(crate) text: &'a str,
    /// The code to compare, as it is shown.
    pub(crate) user_code: Option<String>,
    /// Description of the machine that asks.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) asks_for_code: bool,
    /// Whether Deny works without e-mail address and secret.
    pub(crate) denies_without_login: bool,
    /// Error of the previous attempt.
    pub(crate) fault: Option<&'a str>,
    /// E-mail address typed in the previous attempt.
    pub(crate) email: Option<&'a str>,
    pub(crate) hidden: Vec<(&'a str, &'a str)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approval_page_escapes_every_value() {
        let nasty = "\"><script>alert(1)</script>";
        let page = ApprovalPage {
            frame: Frame::narrow(nasty),
            action: nasty,
            text: nasty,
            user_code: Some(nasty.to_owned()),
            facts: vec![("Machine", nasty.to_owned())],
            asks_for_code: true,
            denies_without_login: true,
            fault: Some(nasty),
            email: Some(nasty),
            hidden: vec![(nasty, nasty)],
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("\"\">"), "{html}");
    }
}
