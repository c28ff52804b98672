//! API keys in the OpenAPI document: two ways to send a key, and no key for servers without keys.

use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

/// Adds the ways to send a key.
#[derive(Debug)]
pub struct Keys;

impl Modify for Keys {
    fn modify(&self, contract: &mut OpenApi) {
        const BEARER: &str = "bearer";
        const HEADER: &str = "header";
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("An API key, if the service requires one")).build();
        let components = contract.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        let header = ApiKey::Header(ApiKeyValue::with_description("x-api-key", "The same in a header of its own"));
        components.add_security_scheme(HEADER, SecurityScheme::ApiKey(header));
        let either = [BEARER, HEADER].map(|name| SecurityRequirement::new::<_, _, String>(name, []));
        contract.security = Some([SecurityRequirement::default()].into_iter().chain(either).collect());
    }
}
