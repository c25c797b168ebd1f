//! Scripted browser: opens the approval page, types e-mail address and secret, presses Approve.

use super::failure::failed;
use crate::build;
use crate::error::{CliError, chain};
use delivery::http::{Bearer, Client, ClientSettings, HttpRequest};
use delivery::server_address::ServerAddress;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

/// Opens `page` and approves what it asks, with the cookie that binds the form to this browser.
pub(crate) fn approve(page: &str, email: &str, secret: &str) -> Result<(), CliError> {
    let page = Url::parse(page).map_err(|error| failed(format!("{page} is not a URL: {error}")))?;
    // The page is on this machine: a proxy of the user's would look for it on its own.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
    let mut loaded = agent.get(page.as_str()).call().map_err(|error| failed(chain(&error)))?;
    let cookie = loaded.headers().get("set-cookie").and_then(|value| value.to_str().ok());
    let cookie = cookie.and_then(|value| value.split(';').next()).unwrap_or_default().to_owned();
    let html = loaded.body_mut().read_to_string().map_err(|error| failed(chain(&error)))?;
    let mut form = Serializer::new(String::new());
    for (name, value) in hidden_fields(&html) {
        form.append_pair(&name, &value);
    }
    form.append_pair("email", email).append_pair("secret", secret).append_pair("decision", "approve");
    let action = attribute(&html, "<form", "action").unwrap_or_else(|| page.path().to_owned());
    let target = page
        .join(&action)
        .map_err(|error| failed(format!("the form target {action} is not a URL: {error}")))?;
    let answer = agent
        .post(target.as_str())
        .header("Cookie", cookie)
        .content_type("application/x-www-form-urlencoded")
        .send(form.finish())
        .map_err(|error| failed(chain(&error)))?;
    let status = answer.status().as_u16();
    if status == 200 { Ok(()) } else { Err(failed(format!("the approval page answered {status}"))) }
}

/// Asks the server as the owner of `token`.
pub(crate) fn ask(server: &str, path: &str, token: &str) -> Result<Value, CliError> {
    let bearer = Bearer::new(token).map_err(|error| failed(chain(&error)))?;
    let request = HttpRequest { bearer: Some(&bearer), ..HttpRequest::get(path) };
    let answer = client()?.send(&destination(server)?, &request).map_err(|error| failed(chain(&error)))?;
    if answer.status != 200 {
        return Err(failed(format!("{path} answered {}", answer.status)));
    }
    let document = answer.object().map(Value::from);
    document.ok_or_else(|| failed(format!("{path} answered without a JSON document")))
}

fn client() -> Result<Client, CliError> {
    let settings = ClientSettings::new(build::VERSION);
    Client::new(&settings).map_err(|error| failed(chain(&error)))
}

fn destination(url: &str) -> Result<ServerAddress, CliError> {
    ServerAddress::parse(url).map_err(|error| failed(chain(&error)))
}

/// Names and values of the hidden inputs, in the order of the page.
fn hidden_fields(html: &str) -> Vec<(String, String)> {
    html.split("<input type=\"hidden\"")
        .skip(1)
        .filter_map(|rest| {
            let tag = format!("<input{}", rest.split('>').next()?);
            Some((attribute(&tag, "<input", "name")?, attribute(&tag, "<input", "value")?))
        })
        .collect()
}

/// An attribute of the first such tag, unescaped.
fn attribute(html: &str, tag: &str, name: &str) -> Option<String> {
    let tag = html.split_once(tag)?.1.split('>').next()?;
    let value = tag.split_once(&format!(" {name}=\""))?.1.split('"').next()?;
    let unescaped =
        value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'");
    Some(unescaped.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_read_with_its_hidden_fields() {
        let html = "<form method=\"post\" action=\"/device\" autocomplete=\"off\">\n<input type=\"hidden\" name=\"a\" \
                    value=\"1&amp;2\">\n<input type=\"hidden\" name=\"b\" value=\"\">\n<input name=\"email\">";
        assert_eq!(hidden_fields(html), [("a".into(), "1&2".into()), ("b".into(), String::new())]);
        assert_eq!(attribute(html, "<form", "action").as_deref(), Some("/device"));
    }
}
