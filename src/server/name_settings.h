// What the configuration says about names, in the resolver's terms. Pure. Tested in name_settings_test.cc.
#pragma once

#include "config/config.h"
#include "resolve/name_service.h"

namespace stile::server {

[[nodiscard]] resolve::NameSettings name_settings(const config::Config& config);

}  // namespace stile::server
