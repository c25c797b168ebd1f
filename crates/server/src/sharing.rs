//! Sharing of projects with other teams: `/api/v1/sync/repository-shares/`.

use crate::store::Principal;
use axum::Json;
use contract::wire::sharing::ShareList;

/// `GET /api/v1/sync/repository-shares/?source_project_uuid=UUID`
pub(crate) async fn list(_: Principal) -> Json<ShareList> {
    Json(ShareList::default())
}
