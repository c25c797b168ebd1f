//! The form of both approval pages: for a device, and for a login in this browser.

use super::escape;
use contract::wire::oauth::shown_user_code;

/// Content of an approval page.
#[derive(Debug, Default)]
pub(crate) struct ApprovalPage<'a> {
    /// Target of the form.
    pub(crate) action: &'a str,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// The code to compare.
    pub(crate) user_code: Option<&'a str>,
    pub(crate) requested_at: Option<String>,
    pub(crate) asks_for_code: bool,
    /// Whether Deny works without e-mail address and secret.
    pub(crate) denies_without_login: bool,
    /// Error of the previous attempt.
    pub(crate) fault: Option<&'a str>,
    /// E-mail address typed in the previous attempt.
    pub(crate) email: Option<&'a str>,
    pub(crate) hidden: Vec<(&'a str, &'a str)>,
}

pub(crate) fn render(page: &ApprovalPage<'_>) -> String {
    let mut out = format!("<h1>{}</h1>\n", escape(page.title));
    if let Some(fault) = page.fault {
        out.push_str(&format!("<p class=\"fault\" role=\"alert\">{}</p>\n", escape(fault)));
    }
    out.push_str(&format!("<p>{}</p>\n", escape(page.text)));
    if let Some(code) = page.user_code {
        out.push_str(&format!("<p class=\"code\">{}</p>\n", escape(&shown_user_code(code))));
    }
    if let Some(at) = &page.requested_at {
        out.push_str(&format!("<p class=\"soft\">Requested at {}</p>\n", escape(at)));
    }
    out.push_str(&format!("<form method=\"post\" action=\"{}\">\n", escape(page.action)));
    for (name, value) in &page.hidden {
        out.push_str(&format!(
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">\n",
            escape(name),
            escape(value)
        ));
    }
    if page.asks_for_code {
        out.push_str(
            "<label for=\"user_code\">Code shown by the device</label>\n\
             <input id=\"user_code\" name=\"user_code\" required maxlength=\"20\" autocomplete=\"off\" \
             autocapitalize=\"characters\" spellcheck=\"false\">\n",
        );
    }
    out.push_str(&format!(
        "<label for=\"email\">E-mail address</label>\n\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required maxlength=\"254\" \
         value=\"{}\">\n\
         <label for=\"secret\">Approval secret</label>\n\
         <input id=\"secret\" name=\"secret\" type=\"password\" autocomplete=\"current-password\" required \
         maxlength=\"256\">\n\
         <p class=\"soft\">The secret you were given when your account was created on this server.</p>\n\
         <div class=\"row\">\n<button class=\"act\" name=\"decision\" value=\"approve\">Approve</button>\n\
         <button name=\"decision\" value=\"deny\"{}>Deny</button>\n</div>\n</form>",
        escape(page.email.unwrap_or_default()),
        if page.denies_without_login { " formnovalidate" } else { "" },
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approval_page_escapes_every_value() {
        let nasty = "\"><script>alert(1)</script>";
        let html = render(&ApprovalPage {
            action: nasty,
            title: nasty,
            text: nasty,
            user_code: Some(nasty),
            requested_at: Some(nasty.to_owned()),
            asks_for_code: true,
            denies_without_login: true,
            fault: Some(nasty),
            email: Some(nasty),
            hidden: vec![(nasty, nasty)],
        });
        assert!(!html.contains("<script") && !html.contains("\"\">"), "{html}");
    }
}
