// Hashes of the password "secret", cheap ones where the scheme lets them be. For tests only.
#pragma once

#include <string>

namespace stile::auth::testing {

inline const std::string bcrypt = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
inline const std::string sha512 =
    "$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFlrjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1";
inline const std::string sha512_default =
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.";
inline const std::string yescrypt = "$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9";
inline const std::string md5 = "$1$abc$iCQ2D3nhptRYi27fDYv2s1";

}  // namespace stile::auth::testing
