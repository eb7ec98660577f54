//! Names whose values are secret: of fields, parameters, attributes, headers and variables of the environment. One list
//! for all that is kept of what others say.

/// Words that a name of a secret ends with, also in the plural.
pub const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "cookie",
    "credential",
    "authorization",
];

/// What stands before `key` at the end of such a name, also in the plural.
pub const KEYS: [&str; 9] = [
    "api",
    "access",
    "private",
    "secret",
    "signing",
    "encryption",
    "subscription",
    "account",
    "functions",
];

/// Words that say so at the end of a name alone, and not in the plural: `input_tokens` are counted. A space is where
/// one word may end.
pub const ENDS: [&str; 9] =
    ["token", "signature", "sig", "session", "session id", "auth", "bearer", "jwt", "otp"];

/// The same, and too short to be looked for within a word.
pub const PINS: [&str; 1] = ["pin"];

/// Whether a name says that its value is secret, or that of something of a secret: `password.hash`.
pub fn is_secret(name: &str) -> bool {
    let words = words(name);
    let words: Vec<&str> = words.split(SEPARATORS).collect();
    let mut beginnings = (1..=words.len()).filter_map(|end| words.get(..end));
    beginnings.any(is_credential) || ends(&words)
}

/// Whether a variable with this name holds a secret, and not merely what has to do with one: `COOKIE_DOMAIN`.
pub fn holds_secret(name: &str) -> bool {
    let words = words(name);
    let words: Vec<&str> = words.split(SEPARATORS).collect();
    is_credential(&words) || words.last().is_some_and(|last| last.ends_with("token"))
}

const SEPARATORS: [char; 5] = ['.', '_', '-', ' ', '/'];

fn is_credential(words: &[&str]) -> bool {
    let (before, last) = match words {
        [.., before, last] => (*before, *last),
        [last] => ("", *last),
        [] => return false,
    };
    let one = last.strip_suffix('s').unwrap_or(last);
    let is_word = WORDS.iter().any(|word| one.ends_with(word));
    let is_key = one.strip_suffix("key").is_some_and(|of| {
        let of = if of.is_empty() { before } else { of };
        KEYS.iter().any(|key| of.ends_with(key))
    });
    is_word || is_key
}

fn ends(words: &[&str]) -> bool {
    let name = words.join(" ");
    let is_end = |end: &&str| {
        let before = name.strip_suffix(end).or_else(|| name.strip_suffix(&end.replace(' ', "")));
        before.is_some_and(|before| before.is_empty() || before.ends_with(' ') || end.len() > 4)
    };
    ENDS.iter().chain(&PINS).any(is_end)
}

/// A name in small letters, with its words apart that capitals alone tell apart, as in `clientSecret` and `XApiKey`.
fn words(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len());
    let mut before = ' ';
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let is_small_next = characters.peek().is_some_and(char::is_ascii_lowercase);
        let is_after_small = before.is_ascii_lowercase() || before.is_ascii_digit();
        let begins = is_after_small || (is_small_next && before.is_ascii_uppercase());
        if character.is_ascii_uppercase() && begins {
            spaced.push(' ');
        }
        spaced.push(character.to_ascii_lowercase());
        before = character;
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret_and_counts_of_tokens_are_not() {
        for name in [
            "password",
            "user.password",
            "userpassword",
            "password.hash",
            "db_passwd",
            "passcode",
            "http.cookie",
            "Authorization",
            "aws.secret_access_key",
            "x-api-key",
            "session.token",
            "client_secret",
            "clientSecret",
            "accessToken",
            "userPassword",
            "app.sessionToken",
            "privateKey",
            "oauth2Token",
            "XApiKey",
            "APIKey",
            "apikey",
            "app.jwt",
            "user_bearer",
            "encryption_key",
            "signingKey",
            "account_keys",
            "card.pin",
            "otp",
            "request.signature",
            "session_id",
            "sessionId",
            "sessionid",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "gen_ai.usage.input_tokens",
            "maxTokens",
            "tokenType",
            "token.type",
            "key",
            "messaging.kafka.key",
            "path",
            "author",
            "spin",
            "hotkey",
            "session.count",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_variable_holds_what_its_name_ends_with() {
        for name in ["DB_PASSWORD", "APIKEY", "AWS_ACCESS_KEY", "TLS_PASSPHRASE", "MYTOKEN"] {
            assert!(holds_secret(name), "{name}");
        }
        for name in ["COOKIE_DOMAIN", "PASSWORD_FILE", "SMTP_AUTH", "MAX_TOKENS", "KEY", ""] {
            assert!(!holds_secret(name), "{name}");
        }
    }
}
