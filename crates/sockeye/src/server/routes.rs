//! The routes of a server, which may come and go while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use super::router::Router;
use super::{ConfigError, ForProtocol, Route};
use crate::upgrade::Settings;
use crate::{OriginPolicy, Result};

/// A route with the server's settings filled in.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The pattern.
    pub(super) path: Arc<str>,
    pub(super) route: Route,
    pub(super) origins: OriginPolicy,
    pub(super) settings: Settings,
}

/// The routes. Requests see them as they are when they arrive; a change makes a new router, since it is rare and
/// looking up is not.
#[derive(Debug)]
pub(super) struct Routes {
    router: RwLock<Arc<Router<Arc<Endpoint>>>>,
    origins: OriginPolicy,
    settings: Settings,
}

impl Routes {
    /// No routes yet; these are the terms of routes that say nothing else.
    pub(super) fn new(origins: OriginPolicy, settings: Settings) -> Self {
        Self {
            router: RwLock::new(Arc::new(Router::new())),
            origins,
            settings,
        }
    }

    /// The routes as they are now.
    pub(super) fn now(&self) -> Arc<Router<Arc<Endpoint>>> {
        Arc::clone(&self.router.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a route.
    pub(super) fn mount(&self, path: &str, route: Route) -> Result<()> {
        route.check(path)?;
        let endpoint = Endpoint {
            path: path.into(),
            origins: route.origins.clone().unwrap_or_else(|| self.origins.clone()),
            settings: route.overrides.apply(&self.settings),
            route,
        };
        if let Some(name) = endpoint.settings.zero() {
            return Err(ConfigError::new(format!("route `{path}`: {name} must be more than zero")).into());
        }
        let mut current = self.router.write().unwrap_or_else(PoisonError::into_inner);
        let mut router = Router::clone(&current);
        router.insert(path, endpoint.route.for_protocol.clone(), Arc::new(endpoint))?;
        *current = Arc::new(router);
        Ok(())
    }

    /// Takes a route away; gives whether it was there.
    pub(super) fn unmount(&self, path: &str, protocol: &ForProtocol) -> bool {
        let mut current = self.router.write().unwrap_or_else(PoisonError::into_inner);
        match current.without(path, protocol) {
            Some(router) => {
                *current = Arc::new(router);
                true
            }
            None => false,
        }
    }
}
