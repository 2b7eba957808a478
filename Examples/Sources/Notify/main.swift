// SPDX-License-Identifier: Apache-2.0

import ExampleSupport

try await serve(Service().chain())
