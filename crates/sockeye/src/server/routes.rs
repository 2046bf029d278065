//! The routes of a server, which may come and go while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use super::host::{HostPattern, host_of};
use super::router::{Match, NoMatch, Router};
use super::{ConfigError, ForProtocol, Route};
use crate::upgrade::Settings;
use crate::{OriginPolicy, Result};

/// A route with the server's settings filled in.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The pattern.
    pub(crate) path: Arc<str>,
    pub(super) route: Route,
    pub(super) origins: OriginPolicy,
    pub(crate) settings: Settings,
}

/// The routes. Requests see them as they are when they arrive; a change makes a new table, since it is rare
/// and looking up is not.
#[derive(Debug)]
pub(super) struct Routes {
    table: RwLock<Arc<Table>>,
    origins: OriginPolicy,
    settings: Settings,
}

/// All routes at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Those of a domain, best patterns first.
    hosts: Vec<(HostPattern, Router<Arc<Endpoint>>)>,
    /// Those of all domains.
    all: Router<Arc<Endpoint>>,
}

impl Table {
    /// The routers for this host, in the order in which they are tried.
    fn routers(&self, host: &str) -> impl Iterator<Item = &Router<Arc<Endpoint>>> {
        let host = host_of(host);
        let own = self.hosts.iter().filter(move |(pattern, _)| pattern.fits(host));
        own.map(|(_, router)| router).chain([&self.all])
    }

    /// Whether it matters which host a request is for.
    pub(super) fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Whether any route has this path, whatever its subprotocol.
    pub(super) fn has_path(&self, host: &str, path: &str) -> bool {
        self.routers(host).any(|router| router.has_path(path))
    }

    /// Finds the route for a request; see [`Router::find`]. The routes of the domain come before those of
    /// all.
    pub(super) fn find<P: AsRef<str>>(
        &self,
        host: &str,
        path: &str,
        offered: &[P],
        mut passed: usize,
    ) -> std::result::Result<Match<'_, Arc<Endpoint>>, NoMatch> {
        let mut found = Err(NoMatch::Path);
        for router in self.routers(host) {
            match router.find(path, offered, passed) {
                Err(NoMatch::Path) => {}
                // The path is spoken for, by routes for other subprotocols.
                Err(NoMatch::Protocol) if passed == 0 => return Err(NoMatch::Protocol),
                Err(NoMatch::Protocol) => {
                    found = Err(NoMatch::Protocol);
                    passed -= router.count(path, offered);
                }
                other => return other,
            }
        }
        found
    }

    fn router(&mut self, host: Option<&HostPattern>) -> &mut Router<Arc<Endpoint>> {
        let Some(host) = host else {
            return &mut self.all;
        };
        let at = self.hosts.iter().position(|(known, _)| known == host);
        let at = at.unwrap_or_else(|| {
            let at = self
                .hosts
                .partition_point(|(known, _)| known.rank() <= host.rank());
            self.hosts.insert(at, (host.clone(), Router::new()));
            at
        });
        &mut self.hosts[at].1
    }
}

impl Routes {
    /// No routes yet; these are the terms of routes that say nothing else.
    pub(super) fn new(origins: OriginPolicy, settings: Settings) -> Self {
        Self {
            table: RwLock::default(),
            origins,
            settings,
        }
    }

    /// The routes as they are now.
    pub(super) fn now(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a route, of a domain or of all.
    pub(super) fn mount(&self, host: Option<&HostPattern>, path: &str, route: Route) -> Result<()> {
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
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        table
            .router(host)
            .insert(path, endpoint.route.for_protocol.clone(), Arc::new(endpoint))?;
        *current = Arc::new(table);
        Ok(())
    }

    /// Takes a route away; gives whether it was there.
    pub(super) fn unmount(&self, host: Option<&HostPattern>, path: &str, protocol: &ForProtocol) -> bool {
        let mut current = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        let router = table.router(host);
        match router.without(path, protocol) {
            Some(rest) => {
                *router = rest;
                table.hosts.retain(|(_, router)| !router.is_empty());
                *current = Arc::new(table);
                true
            }
            None => false,
        }
    }
}
