// SPDX-License-Identifier: Apache-2.0

import ExampleSupport
import OrderService

let settings = Settings()
let service = try await OrderService(database: settings["database"] ?? "orders.sqlite")
try await serve(service.chain(), alongside: [service.streams], settings: settings)
try await service.close()
