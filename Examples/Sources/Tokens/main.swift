// SPDX-License-Identifier: Apache-2.0

import ExampleSupport

let settings = Settings()
let model = Model(
    interval: settings.milliseconds("interval-ms", default: 100),
    places: Model.Places(settings["places"].flatMap { Int($0) } ?? 4)
)
try await serve(service(model: model), settings: settings)
